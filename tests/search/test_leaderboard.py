"""Rows of trials: the keys that others rely on, in order."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from nas.search.leaderboard import RESULT, Leaderboard
from nas.search.objectives import Objective

optuna.logging.set_verbosity(optuna.logging.WARNING)

KEYS = ["number", "state", "value", "architecture", "hash", "overrides", "parameters", "flops", "seconds",
        "reason"]  # fmt: skip


def rows_of(made: optuna.Study) -> list[dict[str, Any]]:
    return board(made).rows()


def board(made: optuna.Study) -> Leaderboard:
    direction: Any = made.direction.name.lower()
    return Leaderboard(made, (Objective("val/loss", direction),))


def study(direction: Any) -> optuna.Study:
    made = optuna.create_study(direction=direction)
    facts = {"architecture": "mha-conv", "hash": "abc", "overrides": ["seed=0"], "parameters": 7,
             "flops": 9.0, "seconds": 1.5, "reason": None}  # fmt: skip
    for value in (3.0, 1.0, 2.0):
        made.add_trial(create_trial(state=TrialState.COMPLETE, value=value, user_attrs={RESULT: facts}))
    for last in (0.5, 5.0):
        made.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values={25: 9.0, 50: last}))
    made.add_trial(create_trial(state=TrialState.FAIL, user_attrs={RESULT: {"reason": "diverged: nan"}}))
    made.ask()
    return made


@pytest.mark.parametrize(
    ("direction", "order"), [("minimize", [1, 2, 0, 3, 4, 5, 6]), ("maximize", [0, 2, 1, 4, 3, 5, 6])]
)
def test_best_first_then_pruned_failed_and_running(direction: str, order: list[int]) -> None:
    table = rows_of(study(direction))
    assert [row["number"] for row in table] == order
    assert [row["state"] for row in table] == ["COMPLETE"] * 3 + ["PRUNED"] * 2 + ["FAIL", "RUNNING"]


def test_every_row_has_the_promised_keys() -> None:
    assert all(list(row) == KEYS for row in rows_of(study("minimize")))


def test_a_row_holds_what_its_run_left() -> None:
    best = rows_of(study("minimize"))[0]
    assert best == {
        "number": 1, "state": "COMPLETE", "value": 1.0, "architecture": "mha-conv", "hash": "abc",
        "overrides": ["seed=0"], "parameters": 7, "flops": 9.0, "seconds": 1.5, "reason": None,
    }  # fmt: skip


def test_a_pruned_row_has_its_last_value_and_a_failed_one_its_reason() -> None:
    table = {row["number"]: row for row in rows_of(study("minimize"))}
    assert table[3]["value"] == 0.5
    assert (table[5]["value"], table[5]["reason"]) == (None, "diverged: nan")
    assert (table[6]["value"], table[6]["overrides"]) == (None, [])


def test_ended_trials_are_read_once_and_running_ones_again() -> None:
    made = study("minimize")
    kept = board(made)
    before = {row["number"]: row for row in kept.rows()}
    made.tell(6, 0.1)
    after = kept.rows()
    assert (after[0]["number"], after[0]["state"], after[0]["value"]) == (6, "COMPLETE", 0.1)
    assert all(row is before[row["number"]] for row in after[1:])
    assert kept.rows() == rows_of(made)
