"""Successive halving: the worse ones stop, at rungs only."""

from __future__ import annotations

import optuna
import pytest

from nas.errors import InputError
from nas.search.rungs import SuccessiveHalving, percent

optuna.logging.set_verbosity(optuna.logging.WARNING)


def outcomes(pruner: optuna.pruners.BasePruner, losses: list[float], steps: list[int]) -> list[int | None]:
    """Train trials with constant losses one after another; return the step at which each was stopped."""
    study = optuna.create_study(pruner=pruner)
    stopped: list[int | None] = []
    for loss in losses:
        trial, end = study.ask(), None
        for step in steps:
            trial.report(loss, step)
            if trial.should_prune():
                end = step
                break
        study.tell(trial, loss if end is None else None, state=None if end is None else _PRUNED)
        stopped.append(end)
    return stopped


_PRUNED = optuna.trial.TrialState.PRUNED


def test_the_worse_half_stops_at_the_first_rung() -> None:
    pruner = SuccessiveHalving(reduction_factor=2).build([0.25, 0.5, 1.0])
    assert outcomes(pruner, [1.0, 2.0, 3.0, 0.5], [25, 50]) == [None, 25, 25, None]


def test_between_rungs_nobody_is_stopped() -> None:
    pruner = SuccessiveHalving(reduction_factor=2).build([0.5, 1.0])
    assert outcomes(pruner, [1.0, 2.0, 3.0], [10, 30, 49]) == [None, None, None]


def test_the_second_rung_compares_those_that_reached_it() -> None:
    pruner = SuccessiveHalving(reduction_factor=2).build([0.25, 0.5, 1.0])
    assert outcomes(pruner, [4.0, 3.0, 2.0, 1.0], [25, 50]) == [None, None, None, None]
    assert outcomes(pruner, [1.0, 1.1, 4.0, 1.05], [25, 50])[1] == 25


def test_a_larger_factor_stops_more() -> None:
    losses = [1.0, 0.9, 1.2, 0.95, 1.3, 0.85, 1.1, 1.05]
    mild = outcomes(SuccessiveHalving(2).build([0.25, 1.0]), losses, [25])
    harsh = outcomes(SuccessiveHalving(4).build([0.25, 1.0]), losses, [25])
    assert harsh.count(25) > mild.count(25)


@pytest.mark.parametrize("factor", [1, 0, -2])
def test_a_factor_below_two_is_refused(factor: int) -> None:
    with pytest.raises(InputError, match=r"pruner\.reduction_factor="):
        SuccessiveHalving(factor)


def test_percent() -> None:
    assert [percent(share) for share in (0.25, 0.5, 3 / 13, 1.0)] == [25, 50, 23, 100]
