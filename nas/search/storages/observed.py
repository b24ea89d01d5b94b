"""The trials of a study as a list that knows which of them have changed since when."""

from __future__ import annotations

from collections.abc import Iterable

from optuna.trial import FrozenTrial


class Observed(list[FrozenTrial]):
    """All trials of a study at a moment, by number.

    Attributes:
        log: the numbers of trials that were added or changed, in that order, shared by all lists of a study.
        end: how much of the log this list has in it.
    """

    def __init__(self, trials: Iterable[FrozenTrial], log: list[int]) -> None:
        super().__init__(trials)
        self.log, self.end = log, len(log)
