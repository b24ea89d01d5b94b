"""Proposals that may not be trained: recorded for the sampler, without a row, and not counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nas.files import read_json
from nas.search.baselines import Baselines
from nas.search.gate import Gate
from nas.search.leaderboard import REFUSED
from nas.search.objectives import Objective
from nas.search.question import Question
from nas.search.samplers.grid import Grid
from nas.search.samplers.proposing import ProposingSampler
from nas.search.samplers.surrogate import Surrogate
from nas.search.samplers.tpe import TPE
from nas.search.spaces.guide import Guide
from nas.search.spaces.space import Space
from nas.search.storages.journal import Journal
from nas.search.study import REDRAWS, Study

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE: dict[str, Any] = {
    "encoder.hidden_cls": {"slots": {"low": 1, "high": 4}, "choices": ["a", "b", "c", "d"]}
}
FORBID = ["count(encoder.hidden_cls, 'a') > 0", "len(encoder.hidden_cls) < 3"]


def opened(folder: Path, sampler: Any = None, space: Any = None, forbid: Any = (), **more: Any) -> Study:
    folder.mkdir(exist_ok=True)
    made = Space(space or SPACE, forbid)
    question = Question(
        name="s", space=made, base=("task=mqar",), config={"seed": 0},
        objectives=(Objective("val/loss", "minimize"),), task="mqar", seed=0, rules={"forbid": list(forbid)},
    )  # fmt: skip
    gate = Gate(made)
    sampler = sampler or optuna.samplers.RandomSampler(seed=0)
    if isinstance(sampler, ProposingSampler | Grid):
        sampler.guide(Guide(made, gate.allows))
    if more.pop("baselines", 0):
        more["baselines"] = Baselines(gate, _Sizes(), 2, 0)  # type: ignore[arg-type]
    study = Study(question, folder, Journal().open(folder), sampler, None, gate=gate, **more)
    save(study)
    return study


class _Sizes:
    def costs(self, changes: dict[str, Any]) -> dict[str, float]:
        return {"cost/parameters": float(len(changes["encoder.hidden_cls"]))}


def save(study: Study) -> dict[str, Any]:
    study.write(workers=1, n_trials=4, sampler="random", seconds=1.0, finished=False)
    told: dict[str, Any] = read_json(study.folder / "study.json")
    return told


def train(study: Study, order: Any, loss: float | None = None, key: str | None = None) -> bool:
    facts = {"string": "a", "hash": str(order.values), "parameters": 7, "flops_per_token": 9.0}
    goes_on = study.identify(order.number, key or str(order.values), facts)
    if goes_on:
        value = float(len(str(order.values))) if loss is None else loss
        study.succeed(
            order.number, {"status": "done", "metrics": {"val/loss": value}, "seconds": 1.0, "reason": None}
        )
    return goes_on


def test_refused_proposals_have_no_row_and_do_not_count(tmp_path: Path) -> None:
    study = opened(tmp_path / "s", forbid=FORBID)
    for _ in range(6):
        train(study, study.ask())
    assert study.asked() == len(study.rows()) == 6
    everything = study.optuna.trials
    refused = [t for t in everything if t.user_attrs.get("refused")]
    assert len(everything) == 6 + len(refused) > 6
    assert {t.state for t in refused} == {TrialState.PRUNED}
    assert all(t.constraints for t in refused)
    assert save(study)["refused"] == len(refused)
    assert not any("a" in row["overrides"][-1].partition("=")[2] for row in study.rows())
    again = opened(tmp_path / "s", forbid=FORBID)
    assert again.asked() == 6


def test_a_sampler_that_never_gets_it_right_is_helped(tmp_path: Path) -> None:
    class Stubborn(optuna.samplers.RandomSampler):
        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            return 1 if param_name.endswith("length") else "a"

    study = opened(tmp_path / "s", Stubborn(seed=0), forbid=FORBID)
    order = study.ask()
    assert order.number == REDRAWS
    assert "a" not in order.values[0].partition("=")[2]


@pytest.mark.parametrize("sampler", [TPE, Surrogate])
def test_samplers_learn_what_is_refused(tmp_path: Path, sampler: Any) -> None:
    study = opened(tmp_path / "s", sampler(seed=0), forbid=FORBID)
    for _ in range(30):
        train(study, study.ask())
    late = study.optuna.trials[-30:]
    assert sum("refused" in t.user_attrs for t in late) <= (17 if sampler is TPE else 0)  # of 63 % at random


def test_a_trial_that_was_asked_for_but_is_not_allowed_is_not_continued(tmp_path: Path) -> None:
    study = opened(tmp_path / "s", forbid=FORBID)
    trial = study.optuna.ask()
    trial.suggest_int("encoder.hidden_cls.length", 1, 4)
    again = opened(tmp_path / "s", forbid=FORBID)
    orders = list(again.abandoned())
    assert len(orders) + sum("refused" in t.user_attrs for t in again.optuna.trials) == 1


def test_a_trial_that_was_put_in_line_and_never_asked_for_is_continued(tmp_path: Path) -> None:
    study = opened(tmp_path / "s")
    study.optuna.enqueue_trial({"encoder.hidden_cls.length": 1, "encoder.hidden_cls.0": "b"})
    again = opened(tmp_path / "s")
    assert [order.values for order in again.abandoned()] == [("encoder.hidden_cls=[b]",)]
    assert again.asked() == 1


def test_a_study_gains_a_choice_and_keeps_its_trials(tmp_path: Path, capsys: Any) -> None:
    study = opened(tmp_path / "s")
    for _ in range(5):
        train(study, study.ask())
    running = study.ask()
    before = study.rows()
    wider = {"encoder.hidden_cls": {**SPACE["encoder.hidden_cls"], "choices": ["e", "a", "b", "c", "d"]}}
    study = opened(tmp_path / "s", Surrogate(seed=1), space=wider)
    assert "space.encoder.hidden_cls has gained ['e']; its trials stay" in capsys.readouterr().err
    assert study.rows() == before
    assert list(study.abandoned()) == [running]
    for _ in range(12):
        train(study, study.ask())
    assert any("e" in row["overrides"][-1] for row in study.rows())
    assert save(study)["space_version"] == 2
    assert sorted(row["number"] for row in study.rows()) == list(range(18))
    study = opened(tmp_path / "s", space=wider)  # a start more changes nothing
    assert len(study.rows()) == 18
    assert save(study)["space_version"] == 2


def test_a_move_that_was_killed_is_made_again(tmp_path: Path) -> None:
    study = opened(tmp_path / "s")
    train(study, study.ask())
    optuna.create_study(study_name="s@2", storage=Journal().open(tmp_path / "s")).ask()
    wider = {"encoder.hidden_cls": {**SPACE["encoder.hidden_cls"], "choices": ["a", "b", "c", "d", "e"]}}
    assert len(opened(tmp_path / "s", space=wider).rows()) == 1


@pytest.mark.parametrize(
    "space",
    [
        {"encoder.hidden_cls": {"slots": {"low": 1, "high": 4}, "choices": ["a", "b", "c"]}},
        {"encoder.hidden_cls": {"slots": {"low": 1, "high": 5}, "choices": ["a", "b", "c", "d"]}},
        {"encoder.hidden_cls": {"slots": 4, "choices": ["a", "b", "c", "d"]}},
        {**SPACE, "optimizer.lr": [0.1]},
        {"optimizer.lr": [0.1]},
    ],
)
def test_a_space_that_lost_or_changed_something_is_refused(tmp_path: Path, space: Any) -> None:
    train(study := opened(tmp_path / "s"), study.ask())
    with pytest.raises(Exception, match=r"study='s' was made with .*space\.") as caught:
        opened(tmp_path / "s", space=space)
    assert len(str(caught.value).splitlines()) == 1


def test_other_rules_are_another_question(tmp_path: Path) -> None:
    train(study := opened(tmp_path / "s"), study.ask())
    with pytest.raises(Exception, match=r"rules\.forbid"):
        opened(tmp_path / "s", forbid=FORBID)


def test_a_known_architecture_is_trained_again_with_other_seeds(tmp_path: Path) -> None:
    study = opened(tmp_path / "s", replicates=3)
    train(study, study.ask(), 1.0, key="one")
    values, seeds = iter([3.0, 2.0]), []
    for _ in range(3):  # each proposal is written differently, and all are one architecture
        order = study.ask()
        assert not train(study, order, key="one")
        if not study.is_over(order.number):
            order = study.again(order.number)
            seeds.append(order.values[-1])
            train(study, order, next(values), key=f"one with {order.values[-1]}")
    assert seeds == ["seed=1", "seed=2"]
    rows = study.rows()
    assert [(row["mean"], row["runs"]) for row in rows] == [(2.0, 3)] * 3 + [(2.0, None)]
    assert rows[-1]["reason"] == "same as trial 0"
    assert save(study)["noise"] == {"objective": "val/loss", "deviation": 1.0, "architectures": 1, "runs": 3}


def test_the_best_are_trained_again_now_and_then(tmp_path: Path) -> None:
    study = opened(tmp_path / "s", replicates=2)
    again = []
    for _ in range(18):
        order = study.ask()
        train(study, order)
        if order.values[-1].startswith("seed="):
            again.append(order)
    assert len(again) == 3  # the 9th, 12th, 15th or 18th, as far as there is one to train again
    assert {order.values[-1] for order in again} == {"seed=1"}
    assert save(study)["noise"]["architectures"] == len(again)
    restarted = opened(tmp_path / "s", replicates=2)
    assert restarted.rows() == study.rows()


def test_baselines_come_last_and_are_compared(tmp_path: Path) -> None:
    study = opened(tmp_path / "s", baselines=2, forbid=FORBID)
    orders = []
    while study.lacks(3):
        orders.append(study.next(3))
        train(study, orders[-1])
    assert study.next(3) is None
    assert study.asked() == 3
    kinds = {row["number"]: row["reason"] for row in study.rows()}
    own = [order.number for order in orders]
    assert [kinds[number] for number in own[3:]] == ["baseline: random"] * 2 + ["baseline: largest"] * 2
    assert all(order.values[0].count(",") == 3 for order in orders[-2:])  # the longest lists
    told = save(study)["baselines"]
    assert [told[kind]["trials"] for kind in ("search", "random", "largest")] == [2, 2, 2]
    again = opened(tmp_path / "s", baselines=2, forbid=FORBID)
    assert not again.lacks(3)


def test_the_largest_are_different_ones() -> None:
    class Wide(_Sizes):
        def costs(self, changes: dict[str, Any]) -> dict[str, float]:
            return {"cost/parameters": float(changes["encoder.hidden_cls"].count("c"))}

    gate = Gate(Space({"encoder.hidden_cls": {"slots": 2, "choices": ["a", "b", "c"]}}))
    baselines = Baselines(gate, Wide(), 4, 0)  # type: ignore[arg-type]
    largest = [tuple(baselines.proposal(index)[1].values()) for index in range(4, 8)]
    assert largest[0] == ("c", "c")
    assert len(set(largest)) == 4


def test_another_supervisor_may_ask_for_the_last_one_after_we_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = opened(tmp_path / "s", Grid(), {"encoder.hidden_cls": [["a"], ["b"]]})
    for _ in range(2):
        order = study.next(9)
        assert order is not None
        study.identify(
            order.number,
            str(order.number),
            {"string": "a", "hash": "h", "parameters": 1, "flops_per_token": 1.0},
        )
    before, real, stale = study.rows(), Study.exhausted, [""]  # when it looked, there was one left
    monkeypatch.setattr(Study, "exhausted", lambda self: stale.pop() if stale else real(self))
    assert study.next(9) is None
    [late] = [t for t in study.optuna.trials if REFUSED in t.user_attrs]
    assert (late.number, late.state) == (2, TrialState.PRUNED)
    assert "all are tried" in late.user_attrs[REFUSED]
    assert (study.rows(), study.asked()) == (before, 2)
