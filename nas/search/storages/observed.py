"""The trials of a study as a sequence that knows which of them have changed since when."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import overload

from optuna.trial import FrozenTrial

PAGE = 128
"""So many trials are copied when one of them changes, and not all ten thousand."""


class Observed(Sequence[FrozenTrial]):
    """All trials of a study at a moment, by number.

    Attributes:
        log: the numbers of trials that were added or changed, in that order, shared by all of a study's.
        end: how much of the log this moment has in it.
    """

    def __init__(self) -> None:
        self.log: list[int] = []
        self.end = 0
        self._pages: list[list[FrozenTrial]] = []
        self._count = 0

    def after(self, changed: Sequence[FrozenTrial]) -> Observed:
        """Return the moment in which these trials, by number, are new or others; the log tells of them."""
        later = Observed()
        later.log, later.end = self.log, len(self.log)
        later._pages = self._pages.copy()
        later._count = max(self._count, changed[-1].number + 1) if changed else self._count
        for place, trials in itertools.groupby(changed, key=lambda trial: trial.number // PAGE):
            page = later._pages[place].copy() if place < len(later._pages) else []
            for trial in trials:
                at = trial.number % PAGE
                page[at : at + 1] = [trial]
            later._pages[place : place + 1] = [page]
        return later

    def __len__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __iter__(self) -> Iterator[FrozenTrial]:
        return itertools.chain.from_iterable(self._pages)

    @overload
    def __getitem__(self, place: int) -> FrozenTrial: ...
    @overload
    def __getitem__(self, place: slice) -> list[FrozenTrial]: ...
    def __getitem__(self, place: int | slice) -> FrozenTrial | list[FrozenTrial]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(self._count))]
        number = place + self._count if place < 0 else place
        if not 0 <= number < self._count:
            raise IndexError(place)
        return self._pages[number // PAGE][number % PAGE]
