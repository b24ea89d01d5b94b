"""The bench of tasks: intervals and claims with known answers, and tiny questions answered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from nas.bench import answers
from nas.bench.evidence import (
    Question,
    candidates_of,
    check_question,
    matched_size,
    meta_run,
    metric_of,
    questions,
    read_question,
)
from nas.bench.evidence_tables import tables_of
from nas.bench.tasks import TaskBench
from nas.bench.winners import metrics_of
from nas.config.compose import compose, with_values
from nas.errors import InputError
from nas.files import read_json
from nas.report.evidence import answers_for, shown

SWEEP = {
    "defaults": [{"override /encoder": "bert"}, {"override /task": "mqar"}],
    "encoder": {"num_layers": 1, "hidden_size": 16, "num_heads": 2},
    "task": {"seq_length": 16, "num_pairs": 2, "vocab_size": 16, "validation_examples": 64},
    "trainer": {"steps": 6, "batch_size": 8, "precision": "fp32"},
    "space": {"encoder.num_layers": [1, 2], "optimizer.lr": {"low": 1e-3, "high": 1e-2, "log": True}},
}
EVIDENCE = {
    "question": "Two layers against one",
    "candidates": {"one": ["encoder.num_layers=1"], "two": ["encoder.num_layers=2"]},
    "rates": [1e-3, 1e-2],
    "seeds": 2,
    "claims": ["two > one", "one >= 0"],
}


def write(folder: Path, **changes: Any) -> str:
    path = folder / "layers.yaml"
    evidence = {k: v for k, v in {**EVIDENCE, **changes}.items() if v is not None}
    path.write_text(json.dumps({**SWEEP, "evidence": evidence}))
    return str(path)


def bench(folder: Path, sweep: str, **more: Any) -> TaskBench:
    return TaskBench(str(folder / "runs"), str(folder / "cache"), [sweep], workers=1, **more)


def test_the_interval_is_students() -> None:
    mean, low, high = answers.interval([1.0, 2.0, 3.0])
    assert (mean, high - mean) == (2.0, pytest.approx(4.303 / 3**0.5))
    assert mean - low == pytest.approx(high - mean)
    assert answers.interval([0.5]) == (0.5, 0.5, 0.5)
    assert answers.quantile(10) == 2.228
    assert answers.quantile(30) == pytest.approx(2.042, rel=0.01)


def test_the_difference_is_welchs() -> None:
    found = answers.difference([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert found.mean == 0.0
    assert found.high == pytest.approx(2.776 * (2 / 3) ** 0.5)  # equal spreads: 4 degrees of freedom
    assert answers.difference([1.0], [0.5]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("a > b", "holds"),
        ("b > a", "the opposite holds"),
        ("a > wide", "open"),
        ("a >= 0.9", "holds"),
        ("b >= 0.9", "does not hold"),
        ("b <= 0.6", "holds"),
    ],
)
def test_claims(claim: str, verdict: str) -> None:
    values = {"a": [0.98, 0.99, 1.0], "b": [0.5, 0.51, 0.49], "wide": [0.2, 0.9, 1.0]}
    answers.check_claims([claim], list(values), "claims")
    assert answers.judged(claim, values)["verdict"] == verdict


def result(status: str = "done", **metrics: float) -> dict[str, Any]:
    return {"status": status, "metrics": {key.replace("_", "/"): value for key, value in metrics.items()}}


def test_the_best_rate_is_chosen_on_validation_and_ties_by_the_loss() -> None:
    good = result(val_accuracy=0.9, val_loss=1.0, longer_accuracy=0.1)
    lucky = result(val_accuracy=0.5, val_loss=0.1, longer_accuracy=1.0)
    assert answers.best_rate({1e-3: [good], 1e-2: [lucky]}, "longer/accuracy") == 1e-3
    tie = result(val_accuracy=0.901, val_loss=0.5, longer_accuracy=0.0)
    assert answers.best_rate({1e-3: [good], 1e-2: [tie]}, "longer/accuracy") == 1e-2
    dead = result("diverged", val_accuracy=1.0, val_loss=0.0)
    assert answers.best_rate({1e-3: [good], 1e-2: [dead]}, "val/accuracy") == 1e-3
    assert answers.best_rate({1e-3: [good], 1e-2: [tie]}, "val/loss") == 1e-2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"claims": ("three > one",)}, "layers: evidence.claims='three' is not one of"),
        ({"claims": ("one is best",)}, "must be 'a > b'"),
        ({"claims": ("one >= two",)}, "must be 'a > b'"),
        ({"seeds": 0}, "tuned_on=1 must be from 1 to seeds=0"),
        ({"rates": ()}, "rates=[] must be"),
        ({"tasks": {"a": ()}}, "either candidates or tasks"),
        ({"tasks": {"a": ()}, "candidates": {}, "claims": ("one > two",)}, "there are tasks"),
    ],
)
def test_wrong_questions(changes: dict[str, Any], told: str) -> None:
    base: Any = None
    question = Question("layers", base, "Two?", candidates={"one": (), "two": ()})
    check_question(question)
    with pytest.raises(InputError) as caught:
        check_question(replace(question, **changes))
    assert any(told in mistake for mistake in caught.value.mistakes), caught.value.mistakes


def test_wrong_keys(tmp_path: Path) -> None:
    sweep = write(tmp_path, candidate={}, seeds="three", rates="many")
    with pytest.raises(InputError) as caught:
        read_question(sweep, [])
    told = " ".join(caught.value.mistakes)
    assert "evidence.candidate is not a key here; did you mean 'evidence.candidates'?" in told
    assert "evidence.seeds='three' must be an integer" in told
    assert "evidence.rates='many' must be a list of numbers" in told


def test_wrong_settings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only whole runs are recorded"):
        bench(tmp_path, "recall", scale=0.1, record="answers")
    with pytest.raises(InputError, match=r"bench\.scale=0 must be greater than 0"):
        bench(tmp_path, "recall", scale=0)
    with pytest.raises(InputError, match=r"bench\.questions='layer_choice' is not one of"):
        read_question("layer_choice", [])


@pytest.mark.slow  # a dozen encoders
def test_sizes_are_matched_to_the_first_candidate(tmp_path: Path) -> None:
    question = read_question(write(tmp_path), [])
    one, two = candidates_of(question)
    assert (one.hidden_size, one.overrides) == (16, ("encoder.num_layers=1",))
    assert two.hidden_size < 16
    assert two.parameters == pytest.approx(one.parameters, rel=0.25)
    wide = with_values(question.base, "train", ["encoder.hidden_size=48"])
    assert matched_size(question.base, meta_run(wide).description["parameters"]) == 48
    assert metric_of(question, meta_run(question.base)) == "val/accuracy"


@pytest.mark.slow  # a composition for every candidate
@pytest.mark.parametrize("name", questions())
def test_every_packaged_question_can_be_measured(name: str) -> None:
    question = read_question(name, [])
    assert question.text
    if question.tasks:
        assert metrics_of(question).keys() == question.tasks.keys()
        return
    made = candidates_of(question)
    assert metric_of(question, meta_run(question.base))
    own = [any(o.startswith("encoder.hidden_size=") for o in question.candidates[c.name]) for c in made]
    for candidate, sized in zip(made, own, strict=True):
        assert sized or candidate.parameters == pytest.approx(made[0].parameters, rel=0.1)


@pytest.mark.slow  # a dozen runs in workers
def test_a_question_is_answered_once_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep, said = write(tmp_path), []
    made = bench(tmp_path, sweep, record=str(tmp_path / "answers"))
    results = made.measure(0, said.append)
    [answer] = results["answers"]
    assert [row["candidate"] for row in answer["rows"]] == ["one", "two"]
    assert all(len(row["values"]) == 2 and len(row["rates"]) == 2 for row in answer["rows"])
    assert sum("seed" in line for line in said) == 6  # two rates with the first seed, one with the other
    assert read_json(tmp_path / "answers" / "layers.json") == json.loads(json.dumps(answer))
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("result.json")}
    assert len(files) == 6
    again = bench(tmp_path, sweep).measure(0, said.append)["answers"][0]
    assert again["rows"] == answer["rows"]
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("result.json")} == files
    alone = next((tmp_path / "runs").rglob("layers-two-*-1"))
    config = compose("train", (alone / "overrides.txt").read_text().splitlines()).values()
    assert config["seed"] == 1
    assert config["optimizer"]["lr"] == answer["rows"][1]["rate"]


@pytest.mark.slow  # whole searches
def test_winners_are_found_and_trained_on_every_task(tmp_path: Path) -> None:
    tasks = {"short": [], "long": ["task.num_pairs=3"]}
    sweep = write(tmp_path, candidates=None, claims=None, tasks=tasks, trials=4, rates=[1e-3])
    [answer] = bench(tmp_path, sweep, scale=0.5).measure(0, lambda line: None)["answers"]
    assert [row["task"] for row in answer["winners"]] == ["short", "long"]
    for row in answer["winners"]:
        assert row["trials"] == 4
        assert not any("optimizer.lr" in override for override in row["overrides"])
        assert {task: len(cell["values"]) for task, cell in row["cells"].items()} == {"short": 2, "long": 2}
    assert "different winners for 2 tasks" in " ".join(shown(answer).sentences)


def comparison(**row: Any) -> dict[str, Any]:
    cell = {"rate": 0.001, "values": [0.9, 1.0], "mean": 0.95, "low": 0.3, "high": 1.6, "seconds": 2.0,
            "metrics": {"val/accuracy": 0.95, "val/loss": 0.1}, "metric": "val/accuracy"}  # fmt: skip
    named = {"candidate": "one", "hidden_size": 16, "parameters": 1000, "architecture": "a", "overrides": []}
    return {
        "question": "layers", "text": "Two against <one>", "metric": "val/accuracy", "chance": 0.1,
        "seeds": 2, "tuned_on": 1, "rates": [0.001], "scale": 1.0, "matched": True,
        "run_seconds": 5.0, "steps": 6,
        "rows": [{**named, **cell, **row}], "created": "2026-01-01T00:00:00+00:00",
        "claims": [{"claim": "one >= 0.5", "verdict": "holds", "told": "0.950 [0.300, 1.600]"}],
    }  # fmt: skip


def test_an_answer_is_shown_as_a_table_and_as_a_picture() -> None:
    answer = comparison()
    table, *lines = tables_of(answer)
    assert list(table.columns[1].cells) == ["0.950 [0.300, 1.000]"]  # type: ignore[union-attr]
    assert any("one >= 0.5: holds" in line for line in lines)  # type: ignore[operator]
    told = shown(answer)
    ElementTree.fromstring(told.picture)
    assert "&lt;one&gt;" in told.picture
    assert told.sentences[0] == "one >= 0.5: holds (0.950 [0.300, 1.600])."
    winners = {**answer, "tasks": ["a", "b"], "trials": 4}
    rows = [
        {"task": t, "architecture": t, "parameters": 5, "cells": dict.fromkeys("ab", answer["rows"][0])}
        for t in "ab"
    ]
    winners = {k: v for k, v in winners.items() if k not in ("rows", "claims")} | {"winners": rows}
    ElementTree.fromstring(shown(winners).picture)
    assert len(tables_of(winners)[0].columns) == 4  # type: ignore[union-attr]


def test_a_study_of_a_recorded_question_shows_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.report.evidence.recorded", lambda: [comparison()])
    assert [a.name for a in answers_for("layers", [])] == ["layers"]
    assert [a.name for a in answers_for("mine", ["sweep=layers", "task=mqar"])] == ["layers"]
    assert [a.name for a in answers_for("mine", ["sweep=/some/where/layers.yaml"])] == ["layers"]
    assert answers_for("mine", ["sweep=other"]) == []


def test_a_question_keeps_its_defaults() -> None:
    assert Question.seeds == 3
    assert Question.tuned_on == 1
