"""The trials of one study as a storage remembers them: each is another object once it has changed."""

from __future__ import annotations

import math
from collections.abc import Container

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from nas.search.storages.observed import Observed


class KnownTrials(dict[int, FrozenTrial]):
    """The trials of a study by id, in the order of their numbers.

    Attributes:
        last: the greatest id.
        looked: when others' changes were last asked for, in seconds of a clock.
        distributions: of each parameter, the first that was met.
    """

    loaded = False
    looked = -math.inf
    looked_for_foreign = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.last = -1
        self.distributions: dict[str, BaseDistribution] = {}
        self._waiting: dict[int, FrozenTrial] = {}
        self._observed = Observed()
        self._changed: dict[int, FrozenTrial] = {}

    def put(self, trial: FrozenTrial) -> None:
        """Add a trial, or another object for it."""
        identity = trial._trial_id
        self[identity] = trial
        self.last = max(self.last, identity)
        self.distributions |= {k: v for k, v in trial.distributions.items() if k not in self.distributions}
        self._waiting.pop(identity, None)
        if trial.state is TrialState.WAITING:
            self._waiting[identity] = trial
        self._changed[trial.number] = trial
        self._observed.log.append(trial.number)

    def all(self) -> Observed:
        """Return all trials by number: the same object as long as none has changed."""
        if self._changed:
            self._observed = self._observed.after([self._changed[n] for n in sorted(self._changed)])
            self._changed.clear()
        return self._observed

    def of(self, states: Container[TrialState]) -> list[FrozenTrial]:
        """Return those in one of some states, by number."""
        waits = TrialState.WAITING in states
        if waits and not any(state in states for state in TrialState if state is not TrialState.WAITING):
            return [self._waiting[identity] for identity in sorted(self._waiting)]
        return [trial for trial in self.values() if trial.state in states]
