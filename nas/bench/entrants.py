"""Who takes part in a replay: recorded candidates and their trials, wherever both come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState


@dataclass(frozen=True)
class Candidate:
    """What was recorded of one candidate.

    Attributes:
        curve: share of the budget to value, the lower the better; the last share is 1.
        rank: among all candidates, 1 the best.
    """

    curve: dict[float, float]
    rank: int


def ranked(curves: Sequence[dict[float, float]]) -> list[Candidate]:
    """Return the candidates of such curves, each ranked by its last value."""
    ends = sorted(curve[1.0] for curve in curves)
    return [Candidate(curve, 1 + ends.index(curve[1.0])) for curve in curves]


@dataclass
class Entrant:
    """A candidate in training.

    Attributes:
        candidate: what was recorded of it.
        trial: what is told of its training, as to Optuna's ``Trial``.
        place: it is looked at next at this one of the shares, from 0.
    """

    candidate: Candidate
    trial: Any
    place: int = 0


class Entrants(ABC):
    """Where a replay's candidates come from, and where their trials are kept."""

    @abstractmethod
    def enter(self) -> Entrant | None:
        """Begin the trial of the next candidate, and return it; None if nobody is left."""

    @abstractmethod
    def trials(self) -> Sequence[FrozenTrial]:
        """Return every trial by number, as `Race` reads them: one that has changed is another object."""

    @abstractmethod
    def end(self, entrant: Entrant, state: TrialState, value: float | None = None) -> None:
        """End a trial.

        Args:
            entrant: whose it is.
            state: what it ends as.
            value: its final value, where it is trained to its end.
        """
