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


class Constrained(optuna.samplers.BaseSampler):
    """A sampler that has a function tell which trials are feasible; what a trial tells itself counts anyway.

    Optuna's own argument of this name is to go: what its samplers read is what is kept here. Here it is
    set on a sampler that was made: what a constructor takes, a configuration may hold.

    Attributes:
        constraints_func: returns a number for each constraint, above 0 where it is broken; None: none.
    """

    constraints_func: ConstraintsFunc | None = None

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Keep with a trial that ends with a result, or pruned, by how much it breaks each constraint.

        Raises:
            InputError: ``constraints_func`` gives something that is no sequence of numbers.
        """
        if self.constraints_func is not None and state is not TrialState.FAIL:
            numbers = _numbers(self.constraints_func(trial), trial.number)
            study._storage.set_trial_system_attr(trial._trial_id, _KEPT, numbers)
        super().after_trial(study, trial, state, values)


def _numbers(given: Sequence[float], number: int) -> list[float]:
    try:
        found = [float(value) for value in given]
    except (TypeError, ValueError):
        found = [math.nan]
    if any(map(math.isnan, found)):
        raise InputError(
            f"constraints_func gave {given!r} for trial {number}: it must be a sequence of numbers, "
            "above 0 where a constraint is broken"
        )
    return found
