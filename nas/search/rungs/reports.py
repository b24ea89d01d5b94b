"""What trials have reported at evaluations and what was decided there, as Optuna's storage keeps it."""

from __future__ import annotations

from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState

REPORTS = "reports"
"""The user attribute that holds the values of several objectives by percent of the budget.

Those of one objective are Optuna's intermediate values, which it refuses where there are several.
"""
DECIDED = "decided"
"""The user attribute that holds what was decided at each rung, by percent of the budget."""

BEST, BOLD, MEASURED, PAUSED, CONTINUED = "best", "bold", "measured", "paused", "continued"
"""Among the best; a bold continuation; measured to the end whatever comes; paused; continued after a pause.

Anything else that was decided is the reason why the trial ended there.
"""


def record(trial: Trial, frozen: FrozenTrial, step: int, values: tuple[float, ...]) -> None:
    """Keep a trial's values at a step; those of a step that is known stay."""
    known = reported(frozen)
    if step in known:
        return
    if len(values) == 1:
        trial.report(values[0], step)
    else:
        told = {**{str(k): list(v) for k, v in known.items()}, str(step): list(values)}
        trial.set_user_attr(REPORTS, told)


def reported(trial: FrozenTrial) -> dict[int, tuple[float, ...]]:
    """Return a trial's values by percent of the budget."""
    told: dict[str, list[float]] | None = trial.user_attrs.get(REPORTS)
    if told is not None:
        return {int(step): tuple(values) for step, values in told.items()}
    return {step: (value,) for step, value in trial.intermediate_values.items()}


def last_reported(trial: FrozenTrial) -> tuple[float, ...] | None:
    """Return a trial's latest values, or None if it has never reported any."""
    known = reported(trial)
    return known[max(known)] if known else None


def decided(trial: FrozenTrial) -> dict[int, str]:
    """Return what was decided at each rung that a trial has reached, by percent of the budget."""
    told: dict[str, Any] = trial.user_attrs.get(DECIDED, {})
    return {int(step): str(word) for step, word in told.items()}


def decide(trial: Trial, frozen: FrozenTrial, level: int, word: str) -> None:
    """Keep what was decided at a rung."""
    told = {str(step): known for step, known in decided(frozen).items()}
    trial.set_user_attr(DECIDED, {**told, str(level): word})


def paused_at(trial: FrozenTrial) -> int | None:
    """Return the rung at which a trial is paused, or None if it trains or has ended."""
    if trial.state is not TrialState.RUNNING:
        return None
    told = decided(trial)
    last = max(told, default=None)
    return last if last is not None and told[last] == PAUSED else None


def is_paused(trial: FrozenTrial) -> bool:
    """Return whether a trial is paused at a rung."""
    return paused_at(trial) is not None


def in_words(trial: FrozenTrial) -> str | None:
    """Return what was out of the ordinary at a trial's rungs, or None."""
    told = []
    for level, word in sorted(decided(trial).items()):
        if word == CONTINUED:
            told.append(f"continued from {level} %")
        elif word in (BOLD, PAUSED):
            told.append(f"{word} at {level} %")
        elif word not in (BEST, MEASURED):
            told.append(word)
    return "; ".join(told) or None
