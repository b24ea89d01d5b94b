"""A study without workers: proposals, duplicates, rungs and what a killed process leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from nas.errors import InputError
from nas.files import read_json
from nas.search.objectives import Objective
from nas.search.question import Question
from nas.search.rungs.halving import SuccessiveHalving
from nas.search.rungs.race import Race
from nas.search.samplers.random import Random
from nas.search.samplers.tpe import TPE
from nas.search.spaces.space import Space
from nas.search.storages.journal import Journal
from nas.search.study import Study
from nas.train.rung import GO_ON, STOP

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = {
    "encoder.hidden_cls": {"slots": 2, "choices": ["attn", "conv"]},
    "optimizer.lr": {"low": 0.1, "high": 1.0},
}
LOSS = Objective("val/loss", "minimize")
FACTS = {"string": "mha-conv", "hash": "abc", "parameters": 7, "flops_per_token": 9.0}


def question(**changes: Any) -> Question:
    asked: dict[str, Any] = {
        "name": "s", "space": Space(SPACE), "base": ("task=mqar",),
        "config": {"seed": 0}, "objectives": (LOSS,), "task": "mqar", "seed": 0, **changes,
    }  # fmt: skip
    return Question(**asked)


def opened(folder: Path, rungs: SuccessiveHalving | None = None, stream: int = 0, **changes: Any) -> Study:
    folder.mkdir(exist_ok=True)
    asked = question(**changes)
    race = Race(rungs, [0.25, 0.5, 1.0], asked.objectives, asked.seed) if rungs else None
    study = Study(asked, folder, Journal().open(folder), Random(stream), race)
    study.write(workers=1, n_trials=4, sampler="random", seconds=1.0, finished=False)
    return study


def result(loss: float, status: str = "done", reason: str | None = None) -> dict[str, Any]:
    return {"status": status, "metrics": {"val/loss": loss}, "seconds": 1.0, "reason": reason}


def train(study: Study, key: str, loss: float) -> int:
    order = study.ask()
    if study.identify(order.number, key, FACTS):
        study.succeed(order.number, result(loss))
    return order.number


def test_an_order_holds_all_overrides_and_its_folder(tmp_path: Path) -> None:
    order = opened(tmp_path / "s").ask()
    assert order.overrides == ("task=mqar", *order.values)
    assert [value.partition("=")[0] for value in order.values] == ["encoder.hidden_cls", "optimizer.lr"]
    assert order.folder == tmp_path / "s" / "trials" / "0"


def test_an_equal_trial_takes_the_finished_ones_result(tmp_path: Path) -> None:
    study = opened(tmp_path / "s")
    train(study, "k", 1.5)
    train(study, "k", 99.0)
    first, second = sorted(study.rows(), key=lambda row: row["number"])
    assert (second["value"], second["reason"], second["seconds"]) == (1.5, "same as trial 0", 0.0)
    assert second["overrides"] != first["overrides"]


def test_equal_trials_are_known_after_a_restart(tmp_path: Path) -> None:
    train(opened(tmp_path / "s"), "k", 1.5)
    study = opened(tmp_path / "s", stream=1)
    assert not study.identify(study.ask().number, "k", FACTS)
    assert study.rows()[1]["reason"] == "same as trial 0"


def test_an_equal_trial_of_a_pruned_one_is_pruned(tmp_path: Path) -> None:
    study = opened(tmp_path / "s", SuccessiveHalving(pause=False, bold=0.0))
    for key, loss in (("first", 1.0), ("k", 2.0), ("k", 2.0)):
        order = study.ask()
        if (
            study.identify(order.number, key, FACTS)
            and study.report(order.number, 0.25, {"val/loss": loss}) == STOP
        ):
            study.succeed(order.number, result(2.0, "pruned", "pruned at 25 % of the budget"))
    rows = [row for row in study.rows() if row["state"] == "PRUNED"]
    assert [row["value"] for row in rows] == [2.0, 2.0]
    assert [row["reason"] for row in rows] == ["not among the best 1 of 2 at 25 %", "same as trial 1"]


def test_a_failed_trial_is_no_answer_for_equal_ones(tmp_path: Path) -> None:
    study = opened(tmp_path / "s")
    order = study.ask()
    study.identify(order.number, "k", FACTS)
    study.succeed(order.number, result(9.0, "diverged", "diverged: loss nan"))
    assert (
        study.rows()[0] | {"state": "FAIL", "value": None, "reason": "diverged: loss nan"} == study.rows()[0]
    )
    assert study.identify(study.ask().number, "k", FACTS)


def test_a_failure_that_was_noted_but_not_told_is_told_later(tmp_path: Path, monkeypatch: Any) -> None:
    """A full disk, or a kill, came between the two: trained again, it was a failure without a reason."""
    study = opened(tmp_path / "s")
    order = study.ask()

    def full(*_: Any, **__: Any) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(study.optuna, "tell", full)
        with pytest.raises(OSError, match="No space left"):
            study.fail(order.number, "No space left on device")
    later = opened(tmp_path / "s")
    assert list(later.abandoned()) == []
    [row] = later.rows()
    assert (row["number"], row["state"], row["reason"]) == (0, "FAIL", "No space left on device")
    assert later.optuna.trials[0].constraints == {"failed": 1.0}


def test_an_abandoned_trial_keeps_number_and_values(tmp_path: Path) -> None:
    orders = [opened(tmp_path / "s").ask()]
    orders.append(opened(tmp_path / "s", stream=1).ask())
    again = list(opened(tmp_path / "s", stream=2).abandoned())
    assert again == orders


def test_a_trial_that_was_asked_for_but_never_got_its_values_gets_them(tmp_path: Path) -> None:
    opened(tmp_path / "s").optuna.ask()
    study = opened(tmp_path / "s")
    [order] = study.abandoned()
    assert len(order.values) == 2
    study.fail(order.number, "why not")
    assert study.asked() == 1


def test_a_continued_trial_may_pass_a_rung_again(tmp_path: Path) -> None:
    study = opened(tmp_path / "s")
    order = study.ask()
    study.report(order.number, 0.25, {"val/loss": 2.0})
    study = opened(tmp_path / "s")
    [order] = study.abandoned()
    assert (
        study.report(order.number, 0.25, {"val/loss": 2.0}) == GO_ON
    )  # a warning of Optuna would be an error
    assert study.report(order.number, 0.5, {"val/loss": 1.0}) == GO_ON
    assert study.optuna.trials[0].intermediate_values == {25: 2.0, 50: 1.0}


def test_a_continued_trial_that_turns_out_equal_takes_what_it_lacks(tmp_path: Path) -> None:
    study = opened(tmp_path / "s")
    first, second = study.ask(), study.ask()
    for order in (first, second):
        study.identify(order.number, "k", FACTS)
        study.report(order.number, 0.25, {"val/loss": 2.0})
    study.report(first.number, 0.5, {"val/loss": 1.0})
    study.succeed(first.number, result(0.5))
    study = opened(tmp_path / "s")
    [again] = study.abandoned()
    assert not study.identify(again.number, "k", FACTS)
    assert study.optuna.trials[1].intermediate_values == {25: 2.0, 50: 1.0}
    assert study.is_over(again.number)


def test_deaths_are_counted_across_restarts(tmp_path: Path) -> None:
    study = opened(tmp_path / "s")
    assert study.count_death(study.ask().number) == 1
    study = opened(tmp_path / "s")
    [order] = study.abandoned()
    assert study.count_death(order.number) == 2


@pytest.mark.parametrize("sampler", [TPE, Random])
def test_a_resumed_study_does_not_repeat_its_first_proposals(tmp_path: Path, sampler: Any) -> None:
    from nas.seeding import derive

    seen = []
    for asked in (0, 3, 6):
        storage = Journal().open(tmp_path)
        study = Study(question(), tmp_path, storage, sampler(seed=derive(0, "sampler", asked) % 2**32), None)
        for _ in range(3):
            order = study.ask()
            seen.append(order.values[1])
            study.identify(order.number, str(order.number), FACTS)
            study.succeed(order.number, result(1.0))
    assert len(set(seen)) == 9


@pytest.mark.parametrize(
    "changes",
    [
        {"objectives": (Objective("val/accuracy", "minimize"),)},
        {"objectives": (Objective("val/loss", "maximize"),)},
        {"objectives": (LOSS, Objective("cost/parameters", "minimize"))},
        {"space": Space({"optimizer.lr": [0.1, 0.2]})},
        {"config": {"seed": 5}},
        {"data": {"corpus_sha256": "another"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_question_under_the_same_name_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    train(opened(tmp_path / "s"), "k", 1.0)
    before = (tmp_path / "s" / "journal.log").read_bytes()
    with pytest.raises(InputError, match="was made with") as caught:
        opened(tmp_path / "s", **changes)
    assert len(caught.value.mistakes) == 1
    assert "study=" in str(caught.value)
    assert (tmp_path / "s" / "journal.log").read_bytes() == before


def test_overrides_in_another_order_are_the_same_question(tmp_path: Path) -> None:
    train(opened(tmp_path / "s"), "k", 1.0)
    assert opened(tmp_path / "s", base=("task=mqar", "seed=0")).asked() == 1


def test_what_remains_of_a_study_without_its_journal_is_no_hindrance(tmp_path: Path) -> None:
    train(opened(tmp_path / "s"), "k", 1.0)
    (tmp_path / "s" / "journal.log").unlink()
    assert opened(tmp_path / "s", objectives=(Objective("val/accuracy", "maximize"),)).asked() == 0


def test_a_renamed_folder_keeps_its_trials(tmp_path: Path) -> None:
    """A study that began there under the new name wrote over the run folders of the old one."""
    train(opened(tmp_path / "s"), "k", 1.0)
    (tmp_path / "s").rename(tmp_path / "t")
    with pytest.raises(InputError, match="t holds the study 's': call the folder 's' again"):
        opened(tmp_path / "t", name="t")
    (tmp_path / "t").rename(tmp_path / "s")
    assert opened(tmp_path / "s").asked() == 1


def test_a_broken_study_json_is_no_hindrance(tmp_path: Path) -> None:
    train(opened(tmp_path / "s"), "k", 1.0)
    (tmp_path / "s" / "study.json").write_text("{")
    with pytest.raises(InputError, match="was made with"):
        opened(tmp_path / "s", config={"seed": 5})
    assert opened(tmp_path / "s").asked() == 1


def test_study_json_adds_up_the_time_of_every_start(tmp_path: Path) -> None:
    opened(tmp_path / "s")
    study = opened(tmp_path / "s")
    study.write(workers=2, n_trials=4, sampler="random", seconds=3.0, finished=True)
    told = read_json(tmp_path / "s" / "study.json")
    assert told["seconds"] == 4.0
    study = Study(question(), tmp_path / "s", Journal().open(tmp_path / "s"), Random(0), None)
    study.write(workers=2, n_trials=4, sampler="random", seconds=0.0, finished=True)
    again = read_json(tmp_path / "s" / "study.json")
    assert again == told


def test_a_trial_without_the_objective_has_no_value_and_says_so(tmp_path: Path) -> None:
    study = opened(tmp_path / "s", objectives=(Objective("val/f1", "maximize"),))
    order = study.ask()
    study.identify(order.number, "k", FACTS)
    assert study.report(order.number, 0.5, {"val/loss": 1.0}) == GO_ON
    study.succeed(order.number, result(1.0))
    assert study.rows()[0]["state"] == "FAIL"
    assert study.rows()[0]["reason"] == "val/f1 was not measured"


def failures_of_one_choice(folder: Path, count: int) -> list[float]:
    """Let TPE choose among four rates, one of which always fails; return what it chose."""
    asked = question(space=Space({"optimizer.lr": [0.1, 0.2, 0.3, 0.4], "seed": [0, 1, 2, 3]}))
    study = Study(asked, folder, Journal().open(folder), TPE(n_startup_trials=8, seed=0), None)
    chosen = []
    for number in range(count):
        order = study.ask()
        study.identify(order.number, str(number), FACTS)
        rate = study.optuna.trials[number].params["optimizer.lr"]
        if rate == 0.1:
            study.fail(order.number, "out of memory: tried to allocate")
        else:
            study.succeed(order.number, result(1.0 + rate))
        chosen.append(rate)
    told = {row["number"]: row for row in study.rows()}
    failed = [number for number, rate in enumerate(chosen) if rate == 0.1]
    assert {told[n]["state"] for n in failed} == {"FAIL"}
    assert {told[n]["value"] for n in failed} == {None}
    assert {told[n]["reason"] for n in failed} == {"out of memory: tried to allocate"}
    return chosen


def test_tpe_learns_of_failures(tmp_path: Path) -> None:
    chosen = failures_of_one_choice(tmp_path, 40)
    assert chosen.count(0.1) > 0
    assert chosen[8:].count(0.1) <= 8  # of 32; stored as FAIL, which TPE ignores, it is 24 to 28
