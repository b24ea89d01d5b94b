"""Searches from the first to the last trial, with real workers, in this process."""

from __future__ import annotations

import json
from typing import Any

import optuna
import pytest
from optuna.trial import create_trial

from nas.config.build import build
from nas.files import exclusive, read_json
from nas.search.storages.journal import Journal

SLOTS = {"slots": 2, "choices": ["attn", "conv", "none"]}
RATE = {"low": 1e-3, "high": 1e-2, "log": True}
ROW = [
    "number",
    "state",
    "value",
    "architecture",
    "hash",
    "overrides",
    "parameters",
    "flops",
    "seconds",
    "reason",
]
RUN_FILES = {"config.yaml", "overrides.txt", "provenance.json", "architecture.json", "architecture.svg",
             "metrics.jsonl", "result.json", "checkpoint"}  # fmt: skip


@pytest.fixture(scope="module")
def command(lab: Any) -> list[str]:
    """A study of five trials, searched once for all tests of this file."""
    sweep = lab.sweep("plain", {"encoder.hidden_cls": SLOTS, "optimizer.lr": RATE})
    arguments = [sweep, "workers=2", "sampler=random"]
    assert lab.search(*arguments, "n_trials=5") == 0
    return arguments


def by_number(rows: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {row["number"]: row for row in rows}


def decisive(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in ("paths", "tracker", "study")}


def test_a_study_is_named_after_its_sweep_and_leaves_every_file(lab: Any, command: list[str]) -> None:
    folder = lab.outputs / "plain"
    assert {p.name for p in folder.iterdir()} == {
        "journal.log", "leaderboard.json", "best.yaml", "trials", "report.html", "study.json", ".lock",
    }  # fmt: skip
    rows = lab.rows("plain")
    assert sorted(row["number"] for row in rows) == list(range(5))
    assert all(list(row) == ROW for row in rows)
    assert {row["state"] for row in rows} <= {"COMPLETE", "PRUNED", "PAUSED"}
    for row in rows:  # one that was paused and never continued has no result of its own
        files = RUN_FILES - (set() if row["state"] == "COMPLETE" else {"result.json"})
        assert {p.name for p in (folder / "trials" / str(row["number"])).iterdir()} >= files
    told = read_json(folder / "study.json")
    assert (told["n_trials"], told["objective"], told["direction"]) == (5, "val/loss", "minimize")
    assert told["started"] <= told["finished"]
    assert "plain" in (folder / "report.html").read_text()
    assert told["remarks"][0] == (
        "What random or largest-first candidates reach at equal budget was not tried: the same command with "
        "baselines=5 trains as many of each."
    )
    paused = sum(row["state"] == "PAUSED" for row in rows)
    assert [line.split(" ")[0] for line in told["remarks"][1:]] == ([str(paused)] if paused else [])


def test_the_same_command_adds_nothing(lab: Any, command: list[str], capsys: Any) -> None:
    before = lab.rows("plain"), read_json(lab.outputs / "plain" / "study.json")
    assert lab.search(*command, "n_trials=5") == 0
    assert "has 5 trials already: n_trials=5 is the total" in capsys.readouterr().err
    assert (lab.rows("plain"), read_json(lab.outputs / "plain" / "study.json")) == before


@pytest.mark.slow  # a whole search
def test_a_smaller_total_says_so(lab: Any, command: list[str], capsys: Any) -> None:
    assert lab.search(*command, "n_trials=2") == 0
    assert "trials already: n_trials=2 is the total" in capsys.readouterr().err
    assert len(lab.rows("plain")) >= 5


@pytest.mark.slow  # a whole search
def test_a_larger_total_continues_and_a_tracker_makes_no_other_study(lab: Any, command: list[str]) -> None:
    before = by_number(lab.rows("plain"))
    cache = f"paths.cache={lab.folder / 'other_cache'}"
    assert lab.search(*command, "n_trials=7", "tracker=none", cache, "workers=1") == 0
    after = by_number(lab.rows("plain"))
    assert sorted(after) == list(range(7))
    ended = {
        number: row for number, row in before.items() if row["state"] != "PAUSED"
    }  # paused ones may go on
    assert {number: after[number] for number in ended} == ended


def test_a_trial_trained_alone_has_the_same_value(lab: Any, command: list[str]) -> None:
    row = lab.rows("plain")[0]
    alone = build([*row["overrides"], "tracker=none", f"paths.outputs={lab.folder / 'alone'}", lab.paths[1]])
    assert alone.train(report=lambda _: None).metrics["val/loss"] == row["value"]


def test_best_yaml_is_the_first_rows_configuration(lab: Any, command: list[str]) -> None:
    row = lab.rows("plain")[0]
    trial = build([*row["overrides"], *lab.paths]).config
    for given in (str(lab.outputs / "plain" / "best.yaml"), "plain"):
        assert decisive(build([f"experiment={given}", *lab.paths]).config) == decisive(trial)
    wider = build(["experiment=plain", "encoder.hidden_size=32", *lab.paths]).config
    assert {
        block["hidden_size"] for block in wider["encoder"]["blocks"].values() if "hidden_size" in block
    } == {32}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("encoder.hidden_size=32", "encoder.hidden_size"),
        ("objective=val/accuracy", "objective"),
        ("direction=maximize", "direction"),
        ("another space", "space"),
    ],
)
def test_another_question_under_the_same_name_is_refused(
    lab: Any, command: list[str], capsys: Any, change: str, named: str
) -> None:
    if named == "space":
        space = {"encoder.hidden_cls": SLOTS, "optimizer.lr": [0.1]}
        path = lab.folder / "plain.yaml"
        text = path.read_text()
        path.write_text(json.dumps({"space": space}))
        code = lab.search(*command, "n_trials=9")
        path.write_text(text)
    else:
        code = lab.search(*command, "n_trials=9", change)
    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    assert len(lines) == 1
    assert "was made with " in lines[0]
    assert named in lines[0]
    assert "study=" in lines[0]


def test_a_second_supervisor_is_refused(lab: Any, command: list[str], capsys: Any) -> None:
    with exclusive(lab.outputs / "plain" / ".lock", "held"):
        assert lab.search(*command, "n_trials=9") == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: study='plain' is being searched by another process"
    ]


@pytest.mark.slow  # a whole search
def test_a_grid_ends_when_everything_was_tried(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    space = {"encoder.hidden_cls": {"slots": 1, "choices": ["attn", "conv"]}, "seed": [0, 1]}
    arguments = [lab.sweep("all", space), "n_trials=9", "sampler=grid", "rungs=null"]
    assert lab.search(*arguments) == 0
    told = "the space holds 4 configurations, all are tried"
    assert told in capsys.readouterr().err
    rows = lab.rows("all")
    assert len(rows) == 4
    assert {row["state"] for row in rows} == {"COMPLETE"}
    assert len({row["value"] for row in rows}) == 4
    assert lab.search(*arguments) == 0
    assert f"study all: {told}" in capsys.readouterr().err
    assert lab.rows("all") == rows


@pytest.mark.slow  # a whole search
def test_an_architecture_is_trained_once(lab: Any) -> None:
    sweep = lab.sweep("twins", {"encoder.hidden_cls": {"slots": 2, "choices": ["attn", "none"]}})
    assert lab.search(sweep, "n_trials=9", "workers=1", "sampler=random", "rungs=null") == 0
    rows = by_number(lab.rows("twins"))
    assert sorted(rows) == list(range(9))
    trained = {n: row for n, row in rows.items() if row["reason"] is None}
    assert len(trained) == len({row["hash"] for row in rows.values()}) <= 3
    assert {p.name for p in (lab.outputs / "twins" / "trials").iterdir()} == {str(n) for n in trained}
    for number, row in rows.items():
        first = min(n for n, other in rows.items() if other["hash"] == row["hash"])
        assert row["value"] == rows[first]["value"]
        assert row["reason"] == (None if number == first else f"same as trial {first}")


@pytest.mark.slow  # a whole search
def test_a_failed_trial_has_its_reason_and_the_study_goes_on(lab: Any) -> None:
    space = {"encoder.hidden_size": [48, 32], "encoder.num_heads": [4, 3], "optimizer.lr": [1e-3, 1e6]}
    base = [
        "encoder.hidden_size=48",
        "encoder.num_heads=4",
        "encoder.hidden_cls=[attn]",
        "trainer.clip_norm=1e9",
    ]
    assert (
        lab.search(
            lab.sweep("failing", space), *base, "n_trials=9", "sampler=random", "rungs=null", "workers=1"
        )
        == 0
    )
    rows = lab.rows("failing")
    assert sorted(row["number"] for row in rows) == list(range(9))
    for row in rows:
        unfit = {"encoder.hidden_size=32", "encoder.num_heads=3"} <= set(row["overrides"])
        wild = "optimizer.lr=1000000.0" in row["overrides"]
        assert row["state"] == ("FAIL" if unfit or wild else "COMPLETE")
        if unfit:
            assert "num_heads" in row["reason"]
        elif wild:
            assert row["reason"].startswith(("diverged: ", "same as"))
    assert {"FAIL", "COMPLETE"} == {row["state"] for row in rows}


@pytest.mark.slow  # a whole search
def test_a_maximized_metric(lab: Any) -> None:
    sweep = lab.sweep("accurate", {"optimizer.lr": RATE})
    assert (
        lab.search(
            sweep, "objective=val/accuracy", "direction=maximize", "n_trials=3", "trainer.evaluate_at=[]"
        )
        == 0
    )
    values = [row["value"] for row in lab.rows("accurate")]
    assert values == sorted(values, reverse=True)
    assert {row["state"] for row in lab.rows("accurate")} == {"COMPLETE"}
    best = read_json(
        lab.outputs / "accurate" / "trials" / str(lab.rows("accurate")[0]["number"]) / "result.json"
    )
    assert best["metrics"]["val/accuracy"] == values[0]


@pytest.mark.slow  # a whole search
def test_a_winner_with_blocks_of_the_users_pool(lab: Any) -> None:
    sweep = lab.sweep("pool", {"encoder.hidden_cls": {"slots": 2, "choices": ["wide", "ffn"]}})
    pool = ["+block@encoder.blocks.wide=feedforward/mlp", "block@encoder.blocks.ffn=mixing/conv",
            "encoder.blocks.wide.ratio=3", "schedule=constant"]  # fmt: skip
    assert lab.search(sweep, *pool, "n_trials=1", "workers=1") == 0
    [row] = lab.rows("pool")
    trial = build([*row["overrides"], *lab.paths]).config
    winner = build(["experiment=pool", *lab.paths]).config
    assert decisive(winner) == decisive(trial)
    assert winner["encoder"]["blocks"]["wide"]["ratio"] == 3
    # and a search may start from it
    again = lab.sweep("again", {"optimizer.lr": RATE})
    assert lab.search(again, "experiment=pool", "n_trials=1", "workers=1") == 0
    [row] = lab.rows("again")
    assert decisive(build(["experiment=again", *lab.paths]).config) == decisive(
        build([*row["overrides"], *lab.paths]).config
    )


@pytest.mark.slow  # a whole search
def test_a_value_that_a_user_has_told_is_kept_and_has_no_file(lab: Any) -> None:
    arguments = [lab.sweep("told", {"optimizer.lr": RATE}), "rungs=null", "workers=1"]
    assert lab.search(*arguments, "n_trials=1") == 0
    storage = Journal().open(lab.outputs / "told")
    study = optuna.load_study(study_name="told", storage=storage)
    study.add_trial(
        create_trial(params=study.trials[0].params, distributions=study.trials[0].distributions, value=0.001)
    )
    assert lab.search(*arguments, "n_trials=3") == 0
    rows = lab.rows("told")
    assert [row["state"] for row in rows] == ["COMPLETE"] * 3
    assert rows[0]["value"] == 0.001
    best = build(["experiment=told", *lab.paths]).config
    assert best["optimizer"]["lr"] == build([*rows[1]["overrides"], *lab.paths]).config["optimizer"]["lr"]


@pytest.mark.slow  # a whole search
def test_a_baseline_comes_to_its_end_beside_its_paused_twin(lab: Any) -> None:
    space = {"encoder.hidden_cls": {"slots": 2, "choices": ["attn", "conv"]}}
    rungs = ("trainer.evaluate_at=[0.25,1.0]", "trainer.steps=16")
    assert lab.search(lab.sweep("paused", space), *rungs, "n_trials=4", "baselines=4", "workers=1") == 0
    rows = lab.rows("paused")
    baselines = [row for row in rows if "baseline" in (row["reason"] or "")]
    assert len(baselines) == 8
    assert {row["state"] for row in baselines} == {"COMPLETE"}
    assert any(row["state"] == "PAUSED" for row in rows)
