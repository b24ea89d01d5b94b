"""Recorded candidates in a random order, their trials in memory: a search whose sampler learns nothing."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nas.bench.entrants import Candidate, Entrant, Entrants
from nas.search.census import KEY


class Drawn(Entrants):
    """Every candidate once, in a random order.

    Args:
        candidates: what was recorded of each.
        seed: of the order.
    """

    def __init__(self, candidates: Sequence[Candidate], seed: int) -> None:
        self._waiting = random.Random(seed).sample(candidates, len(candidates))
        self._trials: list[Any] = []

    def enter(self) -> Entrant | None:
        """Return the next one; see `Entrants`."""
        if not self._waiting:
            return None
        racer = _Racer(len(self._trials), self._trials)
        self._trials.append(racer)
        return Entrant(self._waiting.pop(), racer)

    def trials(self) -> Sequence[FrozenTrial]:
        """Return what is in memory; see `Entrants`."""
        return self._trials

    def end(self, entrant: Entrant, state: TrialState, value: float | None = None) -> None:
        """Note it; see `Entrants`."""
        entrant.trial.end(state, value)


@dataclass
class _Racer:
    """What `Race` reads and writes of Optuna's trial, in memory.

    As in Optuna's storages, one that has changed is another object in ``trials``.
    """

    number: int
    trials: list[_Racer] = field(repr=False, compare=False)
    state: TrialState = TrialState.RUNNING
    user_attrs: dict[str, Any] = field(default_factory=dict)
    intermediate_values: dict[int, float] = field(default_factory=dict)
    values: list[float] | None = None

    def __post_init__(self) -> None:
        self.user_attrs[KEY] = str(self.number)

    def report(self, value: float, step: int) -> None:
        self.intermediate_values[step] = value
        self._change()

    def set_user_attr(self, key: str, value: Any) -> None:
        self.user_attrs[key] = value
        self._change()

    def end(self, state: TrialState, value: float | None) -> None:
        self.state, self.values = state, None if value is None else [value]
        self._change()

    def _change(self) -> None:
        self.trials[self.number] = copy.copy(self)
