"""A suite: members trained as runs of their own, one score, rungs between members, kill and resume."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.config.build import SuiteRun, run_of
from nas.config.compose import Composed, compose, with_values
from nas.errors import InputError, InterruptedRunError
from nas.files import read_json
from nas.tasks.base import Batch
from nas.tasks.scoring import IGNORED
from nas.tasks.suite import Suite, chosen, guess
from nas.train.folder import NOT_IDENTITY
from nas.train.run import RunResult
from nas.train.rung import GO_ON, STOP, Answer

TINY = (
    "task=suite", "+task@task.tasks.second=mqar", "+task@task.tasks.third=mqar",
    "task.only=[mqar,second,third]",
    *(f"task.tasks.{name}.{setting}" for name in ("mqar", "second", "third")
      for setting in ("validation_examples=64", "seq_length=16", "num_pairs=2", "vocab_size=16")),
    "encoder=bert", "encoder.num_layers=1", "encoder.hidden_size=16", "encoder.num_heads=2",
    "trainer.steps=12", "trainer.batch_size=8", "trainer.precision=fp32", "tracker=none",
)  # fmt: skip
FILES = {"config.yaml", "overrides.txt", "provenance.json", "architecture.json", "architecture.svg",
         "metrics.jsonl", "result.json", "tracker.json", ".lock"}  # fmt: skip
TIMES = ("seconds", "tokens_per_second")


@functools.cache
def composed() -> Composed:
    return compose("train", TINY)


def suite(folder: Path, *more: str) -> SuiteRun:
    paths = [f"paths.outputs={folder}", f"paths.cache={folder / 'cache'}"]
    run = run_of(with_values(composed(), "train", [*paths, *more]))
    assert isinstance(run, SuiteRun)
    return run


def quiet(run: Any, **told: Any) -> RunResult:
    result: RunResult = run.train(report=lambda line: None, **told)
    return result


def rows_of(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[SuiteRun, RunResult]:
    run = suite(tmp_path_factory.mktemp("suite"), "task.settings={second: {trainer: {steps: 15}}}")
    return run, quiet(run)


def test_the_whole_has_every_file_and_a_run_folder_for_each_member(trained: Any) -> None:
    run, result = trained
    assert {p.name for p in run.folder.iterdir()} == FILES | {"tasks"}
    for name in ("mqar", "second", "third"):
        assert {p.name for p in (run.folder / "tasks" / name).iterdir()} == FILES | {"checkpoint"}
    assert read_json(run.folder / "result.json")["metrics"] == result.metrics
    assert (result.status, result.task, result.reason, result.steps) == ("done", "suite", None, 39)
    assert set(result.metrics) == set(run.task.metrics)
    assert result.metrics["val/score"] == pytest.approx(
        sum(result.metrics[f"{n}/score"] for n in run.members) / 3
    )
    rows = rows_of(run.folder)
    assert [row["step"] for row in rows] == [12, 27, 39]
    assert [sorted(k.split("/")[0] for k in row if k.endswith("/score")) for row in rows] == [
        ["mqar", "val"], ["second", "val"], ["third", "val"],
    ]  # fmt: skip


def test_a_member_trained_alone_is_the_same_run(trained: Any, tmp_path: Path) -> None:
    run, result = trained
    member = run.members["second"]
    again = compose("train", [*member.overrides, f"paths.outputs={tmp_path}"])
    same = [{k: v for k, v in c.items() if k not in NOT_IDENTITY} for c in (again.values(), member.config)]
    assert same[0] == same[1]
    alone = quiet(run_of(again))
    assert {f"second/{k}": v for k, v in alone.metrics.items()}.items() <= result.metrics.items()


def test_a_finished_suite_is_not_trained_again(trained: Any) -> None:
    run, result = trained
    again = suite(run.folder.parents[1], "task.settings={second: {trainer: {steps: 15}}}")
    assert again.folder == run.folder
    assert quiet(again, watch=pytest.fail) == result


def test_an_interrupted_suite_continues_to_the_same_result(trained: Any, tmp_path: Path) -> None:
    whole, result = trained
    said: list[str] = []

    def interrupt(row: dict[str, Any], progress: float) -> None:
        if progress > 0.5:
            raise InterruptedRunError("stopped")

    run = suite(tmp_path, "task.settings={second: {trainer: {steps: 15}}}", "trainer.log_every=2")
    with pytest.raises(InterruptedRunError):
        quiet(run, watch=interrupt)
    assert rows_of(run.folder) == rows_of(whole.folder)[:1]
    assert not (run.folder / "result.json").exists()
    again = suite(tmp_path, "task.settings={second: {trainer: {steps: 15}}}", "trainer.log_every=2")
    end = again.train(report=said.append)
    assert end.metrics == result.metrics
    assert rows_of(run.folder) == rows_of(whole.folder)
    assert not any("mqar" in line for line in said)


def test_rungs_lie_between_members_at_the_trainers_shares(tmp_path: Path) -> None:
    asked: list[tuple[float, dict[str, float]]] = []

    def go_on(progress: float, metrics: dict[str, float]) -> Answer:
        asked.append((progress, metrics))
        return GO_ON if len(asked) < 2 else STOP

    result = quiet(suite(tmp_path), rung=go_on)  # evaluate_at: [0.25, 0.5, 1.0]
    assert [share for share, _ in asked] == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert [sum(k.endswith("/score") for k in metrics) for _, metrics in asked] == [2, 3]
    assert (result.status, result.reason) == ("pruned", "pruned after mqar, second")
    again: list[float] = []
    late = suite(tmp_path / "late", "trainer.evaluate_at=[0.5]")
    quiet(late, rung=lambda progress, metrics: again.append(progress) or GO_ON)
    assert again == [pytest.approx(2 / 3)]


def test_a_member_that_diverges_scores_nothing_and_says_why(tmp_path: Path) -> None:
    dead = "task.settings={mqar: {optimizer: {lr: 1e20}, trainer: {clip_norm: 1e9}}}"
    result = quiet(suite(tmp_path, dead, "task.only=[mqar,second]"))
    assert result.status == "done"
    assert result.reason is not None
    assert result.reason.startswith("mqar diverged: ")
    assert result.metrics["mqar/score"] == result.metrics["mqar/val/accuracy"] == 0.0
    assert "mqar/val/loss" not in result.metrics
    assert result.metrics["val/score"] == result.metrics["second/score"] / 2
    alone = quiet(suite(tmp_path, dead, "task.only=[mqar]"))
    assert (alone.status, alone.metrics["val/score"]) == ("diverged", 0.0)


def test_mistakes_of_all_members_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        suite(tmp_path, "task.tasks.mqar.num_pairs=100", "task.tasks.third.num_pairs=100", "trainer.steps=0")
    told = caught.value.mistakes
    assert sum("trainer.steps=0" in m for m in told) == 1
    assert {m.split("=")[0] for m in told} >= {"task.tasks.mqar.num_pairs", "task.tasks.third.num_pairs"}
    assert not any("second" in m for m in told)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("task.only=[mqr]", "task.only='mqr' is not one of"),
        ("task.only=[mqar,mqar]", "names a task twice"),
        ("task.only=[]", "task.only=[] is empty: a suite needs a task"),
        ("+task@task.tasks.all=suite task.only=[all]", "task.tasks.all is a suite"),
        (
            "+task@task.tasks.texts=classification task.only=[texts] task.tasks.texts.path=a.csv "
            "task.tasks.texts.metrics=[mcc]",
            "task.tasks.texts has no val/accuracy, which its score is made of, but ['val/loss', 'val/mcc']",
        ),
        ("task.settings={mqr: {}}", "task.settings='mqr' is not one of"),
        ("task.settings={mqar: {task: {}}}", "task.settings.mqar='task' is not one of"),
        ("task.settings={mqar: {trainer: {step: 5}}}", "task.settings.mqar.trainer.step is not a key here"),
        ("task.settings={mqar: {trainer: {steps: no}}}", "task.settings.mqar.trainer.steps='no' must be"),
        ("task.settings={mqar: {trainer: {stepss: 5}}}", "did you mean 'task.settings.mqar.trainer.steps'?"),
        ("task.settings={mqar: {optimizer: {lr: -1}}}", "task.settings.mqar.optimizer.lr=-1 must be greater"),
        ("optimizer.lr=-1", "optimizer.lr=-1 must be greater"),
        (
            "task.settings.mqar.trainer.steps=5",
            "task.settings.mqar.trainer.steps: task.settings is null; to "
            "give it keys: ++task.settings.mqar.trainer.steps=5",
        ),
    ],
)
def test_wrong_input(override: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        suite(tmp_path, *override.split(" ") if override[0] == "+" else [override])
    assert any(told in mistake for mistake in caught.value.mistakes), caught.value.mistakes
    if "optimizer" in override:
        assert caught.value.mistakes[0].startswith(told)


class Fixed:
    """A task of three rows of two answers each, the last of them not asked."""

    splits = ("val",)
    metrics = ("val/loss", "val/accuracy", "val/solved")
    objective = "val/loss"
    seq_length = 4

    def batches(self, split: str, batch_size: int) -> Any:
        words = torch.zeros(3, 4, dtype=torch.int64)
        positions = torch.tensor([0, 1, 4, 5, 8, 9])
        yield Batch({"input_word_ids": words}, positions, torch.tensor([1, 1, 1, 2, 3, IGNORED]))


def test_a_score_is_the_share_above_the_most_frequent_answer() -> None:
    task: Any = Fixed()
    assert guess(task, "val", "accuracy") == pytest.approx(3 / 5)
    assert guess(task, "val", "solved") == pytest.approx(1 / 3)
    made = Suite({"a": task, "b": task})
    assert made.score("a", {"val/accuracy": 0.8}) == pytest.approx(0.5)
    assert made.score("a", {"val/accuracy": 0.5}) == 0.0
    assert made.score("a", {"val/accuracy": 1.0}) == 1.0
    found = made.evaluated({"a": {"val/accuracy": 0.8, "val/loss": 2.0}, "b": None})
    assert found == pytest.approx(
        {"val/score": 0.25, "a/score": 0.5, "b/score": 0.0, "a/val/accuracy": 0.8, "a/val/loss": 2.0,
         "b/val/accuracy": 0.0, "b/val/solved": 0.0}
    )  # fmt: skip
    task.objective = "val/solved"
    assert Suite({"a": task}).score("a", {"val/solved": 1.0}) == 1.0
    assert chosen(["a", "b"], {}, None) == ["a", "b"]
