"""Which trials are feasible, as a function of the user's tells once they have ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from nas.errors import InputError

ConstraintsFunc = Callable[[FrozenTrial], Sequence[float]]
"""Returns a number for each constraint of a trial; above 0 it is broken."""

_KEPT = "constraints"
"""The system attribute in which Optuna keeps what such a function returned: `FrozenTrial.constraints`."""


def keep(told_by: ConstraintsFunc, study: optuna.Study, trial: FrozenTrial, state: TrialState) -> None:
    """Keep with a trial that has ended with a result, or pruned, what the function tells of it.

    Raises:
        InputError: it tells something that is no sequence of numbers.
    """
    if state is TrialState.FAIL:
        return
    found = told_by(trial)
    try:
        numbers = [float(value) for value in found]
    except (TypeError, ValueError):
        numbers = [math.nan]
    if any(map(math.isnan, numbers)):
        raise InputError(
            f"constraints_func gave {found!r} for trial {trial.number}: it must be a sequence of numbers, "
            "above 0 where a constraint is broken"
        )
    study._storage.set_trial_system_attr(trial._trial_id, _KEPT, numbers)
