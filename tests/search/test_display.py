"""What a search shows: counts of trials by state, the best, and a line for each that has ended."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from nas.search.display import Display
from nas.search.leaderboard import FAILED, REFUSED, RESULT, STATES, Leaderboard
from nas.search.objectives import Objective
from nas.search.rungs.reports import DECIDED, PAUSED

LOSS = (Objective("val/loss", "minimize"),)


def add(study: optuna.Study, state: str, value: float) -> None:
    """Add a trial whose row will have this state."""
    facts: dict[str, Any] = {RESULT: {"architecture": "mha-mlp", "reason": None}}
    if state == "PAUSED":
        trial = study.ask()
        trial.report(value, 25)
        trial.set_user_attr(DECIDED, {"25": PAUSED})
    elif state == "RUNNING":
        study.ask()
    elif state == "WAITING":
        study.add_trial(create_trial(state=TrialState.WAITING))
    elif state == "COMPLETE":
        study.add_trial(create_trial(state=TrialState.COMPLETE, value=value, user_attrs=facts))
    else:
        told = {**facts, FAILED: True} if state == "FAIL" else facts
        study.add_trial(
            create_trial(state=TrialState.PRUNED, user_attrs=told, intermediate_values={25: value})
        )


@pytest.mark.parametrize("left_out", ["", *STATES])
def test_counts_are_those_of_the_rows(left_out: str, capsys: pytest.CaptureFixture[str]) -> None:
    study = optuna.create_study()
    board = Leaderboard(study, LOSS)
    states = [state for state in reversed(STATES) if state != left_out] * 2
    states.sort(key=lambda state: state == "WAITING")  # `ask` would take one
    for number, state in enumerate(states):
        add(study, state, 1.0 + number)
    rows = board.rows()
    told = [row["state"] for row in rows]
    assert sorted(told) == sorted(states)
    display = Display(20, LOSS, [])
    display.ended(board.of([rows[0]["number"]]), rows)
    over = sum(told.count(state) for state in ("COMPLETE", "PRUNED", "PAUSED", "FAIL"))
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"[{over}/20] trial {rows[0]['number']} {told[0].lower()}")
    assert ("2 paused" in line) == ("PAUSED" in told)
    assert (f"best {rows[0]['value']:.4f}" in line) == ("COMPLETE" in told)


def test_rows_of_some_trials_are_those_among_all() -> None:
    study = optuna.create_study()
    for number in range(4):
        add(study, "COMPLETE", 4.0 - number)
    study.add_trial(create_trial(state=TrialState.PRUNED, user_attrs={REFUSED: "too large"}))
    board = Leaderboard(study, LOSS)
    assert [row["number"] for row in board.of([2, 4, 0])] == [2, 0]
    by_number = {row["number"]: row for row in board.rows()}
    assert board.of(range(5)) == [by_number[number] for number in range(4)]
    study.tell(study.ask(), 0.5)
    assert board.rows()[0] == board.of([5])[0]
