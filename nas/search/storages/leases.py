"""Leases: which supervisor has which trial in hand, where several supervisors search one study.

A trial that runs belongs to who holds its lease. Leases end by themselves: a supervisor that was killed,
stopped or cut off from the storage does not renew its own, and others take its trials over. One that
comes back finds its lease gone, and says nothing more of the trial.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial

from nas.errors import NasError


class LostTrialError(NasError):
    """Another supervisor has the trial by now: what this one knows of it does not count."""


class Leases(ABC):
    """The trials that this supervisor may train and end.

    Attributes:
        ordinal: this supervisor's number among those that search the study now, from 0.
        shared: whether others may reach the study's trials.
    """

    ordinal: int = 0
    shared: bool = True

    @abstractmethod
    def turn(self) -> AbstractContextManager[None]:
        """Hold the right to take trials in hand: one supervisor of the study does at a time.

        Raises:
            LostTrialError: at the end of the block, if it took so long that others had their turn; what
                was taken in it is not held.
        """

    @abstractmethod
    def ask(self, study: optuna.Study, params: Mapping[str, Any], attributes: Mapping[str, Any]) -> Trial:
        """Ask for a trial within a turn, with these parameters, if any are given, and user attributes."""

    @abstractmethod
    def is_free(self, trial: FrozenTrial) -> bool:
        """Return whether a running trial may be taken over, as the turn began."""

    @abstractmethod
    def is_foreign(self, trial: FrozenTrial) -> bool:
        """Return whether a trial was asked for by who drives the study without this package."""

    @abstractmethod
    def mark(self, trial: Trial) -> None:
        """Make a trial that was asked for in another way one of this package's."""

    @abstractmethod
    def was_taken(self, trial: FrozenTrial) -> bool:
        """Return whether somebody ever had the trial in hand."""

    @abstractmethod
    def take(self, number: int, folder: Path) -> Path | None:
        """Take a trial in hand within a turn, and return the run folder of who had it before.

        Raises:
            LostTrialError: somebody else has it.
        """

    @abstractmethod
    def confirm(self, number: int) -> None:
        """Return if the trial is in hand.

        Raises:
            LostTrialError: it is not any more.
        """

    @abstractmethod
    def together(self) -> AbstractContextManager[None]:
        """Have what is told of a trial within the block written at its end: a server is asked once.

        Raises:
            UpdateFinishedTrialError: at the end of the block, if the trial has ended in other hands.
        """

    @abstractmethod
    def let_go(self, number: int) -> None:
        """Give a trial out of hand that has not ended."""

    @abstractmethod
    def end(self, number: int) -> None:
        """Note that a trial in hand has ended."""

    @abstractmethod
    def renew(self) -> set[int]:
        """Renew what is in hand, if it is time to, and return the trials that were lost meanwhile."""

    @abstractmethod
    def others(self) -> int:
        """Return how many other supervisors search the study."""

    @abstractmethod
    def leave(self) -> None:
        """Let all trials go, and search no more."""


class Alone(Leases):
    """The leases of the only supervisor that can reach a storage: all trials are its own."""

    shared = False

    def turn(self) -> AbstractContextManager[None]:
        """Nobody else takes turns."""
        return nullcontext()

    def ask(self, study: optuna.Study, params: Mapping[str, Any], attributes: Mapping[str, Any]) -> Trial:
        """Ask for a trial; see `Leases.ask`."""
        if params or attributes:
            study.enqueue_trial(dict(params), user_attrs=dict(attributes))
        return study.ask()

    def is_free(self, trial: FrozenTrial) -> bool:
        """A trial that runs was left by an earlier start."""
        return True

    def is_foreign(self, trial: FrozenTrial) -> bool:
        """Nobody else asks."""
        return False

    def mark(self, trial: Trial) -> None:
        """All trials are."""

    def was_taken(self, trial: FrozenTrial) -> bool:
        """It was."""
        return True

    def take(self, number: int, folder: Path) -> Path | None:
        """It is taken; an earlier start had it in the same folder."""
        return None

    def confirm(self, number: int) -> None:
        """It is in hand."""

    def together(self) -> AbstractContextManager[None]:
        """Everything is written at once, which costs little."""
        return nullcontext()

    def let_go(self, number: int) -> None:
        """Nothing is held."""

    def end(self, number: int) -> None:
        """Nothing is held."""

    def renew(self) -> set[int]:
        """Nothing is lost."""
        return set()

    def others(self) -> int:
        """There are none."""
        return 0

    def leave(self) -> None:
        """Nothing is held."""
