"""The trials of a study as rows, best first, from its storage alone."""

from __future__ import annotations

import math
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

RESULT = "result"
"""The user attribute that holds what a trial's run left behind."""


def rows(study: optuna.Study) -> list[dict[str, Any]]:
    """Return one row for each trial: completed ones by value, then pruned, failed and running ones."""
    sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
    order = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING)

    def rank(trial: FrozenTrial) -> tuple[int, float, int]:
        value = _value(trial)
        return order.index(trial.state), math.inf if value is None else sign * value, trial.number

    return [_row(trial) for trial in sorted(study.get_trials(deepcopy=False), key=rank)]


def _row(trial: FrozenTrial) -> dict[str, Any]:
    result = trial.user_attrs.get(RESULT, {})
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": _value(trial),
        "architecture": result.get("architecture"),
        "hash": result.get("hash"),
        "overrides": result.get("overrides", []),
        "parameters": result.get("parameters"),
        "flops": result.get("flops"),
        "seconds": result.get("seconds"),
        "reason": result.get("reason"),
    }


def _value(trial: FrozenTrial) -> float | None:
    if trial.state == TrialState.PRUNED and trial.intermediate_values:
        return trial.intermediate_values[max(trial.intermediate_values)]
    return trial.value
