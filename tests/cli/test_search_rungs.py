"""Rungs and several objectives in ``nas-search``: real workers, real kills."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nas.config.build import build
from nas.files import read_json
from tests.cli.searching import (
    check_value,
    command,
    kill_and_check,
    rows,
    run_here,
    wait_until,
)

SPACE = {"encoder.hidden_cls": {"slots": 2, "choices": ["attn", "conv", "mlp"]}}  # good ones first: they wait
RUNGS = ("trainer.steps=40", "workers=1", "sampler=grid", "sampler.shuffle=false",
         "n_trials=9", "rungs.bold=0", "rungs.hopeless=null")  # fmt: skip


def space_of(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "s.yaml").write_text(json.dumps({"space": SPACE}))


@pytest.mark.slow  # three searches
def test_killed_with_paused_trials_a_study_loses_nothing(tmp_path: Path) -> None:
    space_of(tmp_path)
    arguments = command(tmp_path, *RUNGS, "trainer.checkpoint_seconds=0.05")
    before: dict[int, dict[str, Any]] = {}

    def some_paused(least: int) -> bool:
        before.update({n: row for n, row in rows(tmp_path).items() if row["state"] == "PAUSED"})
        return sum(row["state"] == "PAUSED" for row in rows(tmp_path).values()) >= least

    for least in (1, 3):
        kill_and_check(arguments, lambda process, n=least: wait_until(lambda: some_paused(n), 100))
    # a checkpoint that is gone costs time alone
    shutil.rmtree(tmp_path / "outputs" / "s" / "trials" / str(min(before)) / "checkpoint")
    assert run_here(arguments) == 0
    after = rows(tmp_path)
    assert sorted(after) == list(range(9))
    assert len({row["architecture"] for row in after.values()}) == 9
    assert {row["state"] for row in after.values()} == {"COMPLETE", "PAUSED"}
    for number, row in before.items():
        assert after[number]["overrides"] == row["overrides"]
    continued = [r for r in after.values() if r["state"] == "COMPLETE" and "continued" in str(r["reason"])]
    assert continued
    for row in continued:
        check_value(tmp_path, row)


@pytest.mark.slow  # a search
def test_several_objectives_from_the_first_trial_to_the_front(tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "s.yaml").write_text(
        json.dumps(
            {
                "space": {**SPACE, "encoder.hidden_size": [16, 32], "optimizer.lr": [1e-3, 1.0e20]},
                "constraints": {"latency_ms": {"max": 1000}},
            }
        )
    )
    more = ("objective=[val/loss,cost/parameters]", "n_trials=6", "workers=2", "trainer.steps=12",
            "replicates=2", "baselines=2")  # fmt: skip
    assert run_here(command(tmp_path, *more)) == 0
    told = capfd.readouterr().out
    assert "Pareto front" in told
    assert "knee: nas-train experiment=" in told
    table = list(read_json(tmp_path / "outputs" / "s" / "leaderboard.json"))
    front = [row for row in table if row["front"]]
    assert front[0]["knee"]
    assert sum(row["knee"] for row in table) == 1
    for row in table:
        if row["state"] == "COMPLETE":
            assert row["values"]["cost/parameters"] == row["parameters"]
    folder = tmp_path / "outputs" / "s"
    assert {path.name for path in (folder / "front").iterdir()} == {f"{r['number']}.yaml" for r in front}
    paths = [f"paths.outputs={tmp_path / 'again'}", f"paths.cache={tmp_path / 'cache'}"]
    for row in front:
        alone = build([f"experiment={folder / 'front'}/{row['number']}.yaml", "tracker=none", *paths])
        assert alone.train(report=lambda _: None).metrics["val/loss"] == row["values"]["val/loss"]
    assert (folder / "best.yaml").read_text().splitlines()[1:2] == (
        (folder / "front" / f"{front[0]['number']}.yaml").read_text().splitlines()[1:2]
    )
    about = read_json(folder / "study.json")
    assert about["objective"] == ["val/loss", "cost/parameters"]
    assert about["direction"] == ["minimize", "minimize"]
