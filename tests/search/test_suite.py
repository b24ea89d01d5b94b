"""A search whose trials are suites: rungs between members, a winner that can be trained again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nas.cli.app import run_command
from nas.cli.search import search
from nas.config.build import SuiteRun, build
from nas.files import read_json

SUITE = (
    "task=suite", "+task@task.tasks.second=mqar", "+task@task.tasks.third=mqar",
    "task.only=[mqar,second,third]",
    *(f"task.tasks.{name}.validation_examples=64" for name in ("mqar", "second", "third")),
    "encoder.hidden_size=16", "encoder.num_heads=2", "trainer.steps=12", "trainer.batch_size=8",
    "tracker=none",
)  # fmt: skip
SPACE = {"encoder.hidden_cls": {"slots": 2, "choices": ["attn", "conv", "none"]},
         "optimizer.lr": {"low": 1e-3, "high": 1e-2, "log": True}}  # fmt: skip
SEARCH = "import sys; from nas.cli.search import main; sys.argv[0] = 'nas-search'; main()"


def command(lab: Any, name: str, *more: str) -> list[str]:
    return [*SUITE, *lab.paths, lab.sweep(name, SPACE), "sampler=random", "workers=1", *more]


def run(arguments: list[str]) -> int:
    return run_command("search", search, arguments)


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SEARCH, *arguments], stderr=subprocess.DEVNULL)


@pytest.mark.slow  # whole searches
def test_a_killed_search_over_a_suite_continues_to_the_same_rows(lab: Any) -> None:
    # to the end: at a rung the first trial might be paused for good, by who came first
    assert run(command(lab, "whole", "n_trials=2", "rungs=null")) == 0
    killed = command(lab, "killed", "n_trials=2", "rungs=null")
    process = start(killed)
    first = lab.outputs / "killed" / "trials" / "0" / "tasks" / "second"
    _wait_for(first)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert run(killed) == 0
    rows = [[_row(r) for r in sorted(lab.rows(n), key=lambda r: r["number"])] for n in ("whole", "killed")]
    assert rows[0][0] == rows[1][0]  # what later trials try depends on where the search was cut
    assert [row["state"] for row in lab.rows("whole")].count("COMPLETE") >= 1
    told = read_json(lab.outputs / "whole" / "study.json")
    assert (told["objective"], told["direction"], told["task"]) == ("val/score", "maximize", "suite")
    assert "val/score" in (lab.outputs / "whole" / "report.html").read_text()


@pytest.mark.slow  # a whole search
def test_the_winner_can_be_trained_again_and_pruned_trials_say_where(lab: Any, tmp_path: Path) -> None:
    assert run(command(lab, "winner", "n_trials=6", "trainer.evaluate_at=[0.3,0.6]")) == 0
    rows = lab.rows("winner")
    for row in rows:
        assert row["state"] != "PRUNED" or re.search(r"paused at \d+ %|hopeless", row["reason"])
    best = lab.outputs / "winner" / "best.yaml"
    again = build([f"experiment={best}", f"paths.outputs={tmp_path}", *lab.paths[1:], "tracker=none"])
    assert isinstance(again, SuiteRun)
    result = again.train(report=lambda line: None)
    assert result.metrics["val/score"] == rows[0]["value"]


@pytest.mark.slow  # a whole search
def test_trials_are_paused_between_members_and_continue_with_the_next(lab: Any, tmp_path: Path) -> None:
    halving = ("trainer.evaluate_at=[0.3,0.6]", "rungs.bold=0", "rungs.hopeless=null", "n_trials=8")
    assert run(command(lab, "paused", *halving)) == 0
    rows = lab.rows("paused")
    done = [row for row in rows if row["state"] == "COMPLETE"]
    paused = [row for row in rows if row["state"] == "PAUSED"]
    assert {str(row["reason"]) for row in paused} <= {
        "paused at 30 %", "paused at 60 %", "continued from 30 %; paused at 60 %"
    }  # fmt: skip
    [row, *_] = [row for row in done if "continued from" in str(row["reason"])]
    folder = lab.outputs / "paused" / "trials" / str(row["number"])
    told = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in told] == [12, 24, 36]  # each member was trained once
    more = ("tracker=none", f"paths.outputs={tmp_path}", *lab.paths[1:])
    result = build([*row["overrides"], *more]).train(report=lambda line: None)
    assert result.metrics["val/score"] == row["value"]
    trained = [list((lab.outputs / "paused" / "trials" / str(r["number"])).glob("tasks/*")) for r in paused]
    assert {len(members) for members in trained} <= {1, 2}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("state", "value", "hash", "reason")}


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
