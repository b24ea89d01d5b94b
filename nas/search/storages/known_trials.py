"""What a memory of a server's trials holds of one study."""

from __future__ import annotations

import math

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial


class KnownTrials(dict[int, FrozenTrial]):
    """The trials of a study by id, in the order of their numbers.

    Attributes:
        last: the greatest id.
        looked: when others' changes were last asked for, in seconds of a clock.
        distributions: of each parameter, the first that was met.
        log: the numbers of trials that were put, in that order.
    """

    loaded = False
    looked = -math.inf
    looked_for_foreign = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.last = -1
        self.distributions: dict[str, BaseDistribution] = {}
        self.log: list[int] = []

    def put(self, trial: FrozenTrial) -> None:
        """Add a trial, or another object for it."""
        self[trial._trial_id] = trial
        self.log.append(trial.number)
        self.last = max(self.last, trial._trial_id)
        self.distributions |= {k: v for k, v in trial.distributions.items() if k not in self.distributions}
