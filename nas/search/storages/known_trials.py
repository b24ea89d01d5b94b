"""The trials of one study as a storage remembers them: each is another object once it has changed."""

from __future__ import annotations

import json
import math
from collections.abc import Container
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.trial import FrozenTrial, TrialState

from nas.search.storages.observed import Observed


class KnownTrials(dict[int, FrozenTrial]):
    """The trials of a study by id, in the order of their numbers.

    Attributes:
        last: the greatest id.
        looked: when others' changes were last asked for, in seconds of a clock.
        distributions: of each parameter, the first that was met.
        unfinished: those that have not ended.
    """

    loaded = False
    looked = -math.inf
    looked_for_foreign = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.last = -1
        self.distributions: dict[str, BaseDistribution] = {}
        self.unfinished: dict[int, FrozenTrial] = {}
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
        self.unfinished.pop(identity, None)
        if not trial.state.is_finished():
            self.unfinished[identity] = trial
        if trial.state is TrialState.WAITING:
            self._waiting[identity] = trial
        self._changed[trial.number] = trial
        self._observed.log.append(trial.number)

    def check_compatible(self, name: str, distribution: BaseDistribution) -> None:
        """Refuse another kind of parameter under a known name.

        Raises:
            ValueError: it is one.
        """
        earlier = self.distributions.setdefault(name, distribution)
        check_distribution_compatibility(earlier, distribution)

    def all(self) -> Observed:
        """Return all trials by number: the same object as long as none has changed."""
        if self._changed:
            self._observed = self._observed.after([self._changed[n] for n in sorted(self._changed)])
            self._changed.clear()
        return self._observed

    def waiting_as(self, template: FrozenTrial, after: int) -> int | None:
        """Return a trial with a greater id than ``after`` that waits with the attributes of a template."""
        wanted = as_read(template.user_attrs), as_read(template.system_attrs)
        for identity, trial in sorted(self._waiting.items()):
            if identity > after and (trial.user_attrs, trial.system_attrs) == wanted:
                return identity
        return None

    def of(self, states: Container[TrialState]) -> list[FrozenTrial]:
        """Return those in one of some states, by number."""
        waits = TrialState.WAITING in states
        if waits and not any(state in states for state in TrialState if state is not TrialState.WAITING):
            return [self._waiting[identity] for identity in sorted(self._waiting)]
        return [trial for trial in self.values() if trial.state in states]


def as_read(value: Any) -> Any:
    """Return what comes back of an attribute's value: a server keeps JSON."""
    return json.loads(json.dumps(value))
