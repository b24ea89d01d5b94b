"""Who has reached which rung with what values, and who is among the best there."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from nas import pareto

Values = tuple[float, ...]


class Ladder:
    """The rungs of a study and the trials that have reached them.

    Args:
        levels: of the rungs, in percent of the budget, ascending.
        factor: one in so many of those that have reached a rung may go on from it, but at least one.
        signs: of every objective: 1 to minimize, -1 to maximize.
    """

    def __init__(self, levels: Sequence[int], factor: int, signs: Sequence[int]) -> None:
        self.levels = tuple(levels)
        self.factor = factor
        self._signs = tuple(signs)
        self._reached: dict[int, dict[int, Values]] = {level: {} for level in levels}
        self._ranked: dict[int, list[int]] = {}

    def reach(self, number: int, level: int, values: Sequence[float]) -> None:
        """Note a trial's values at a rung; what was noted before is replaced."""
        told = tuple(sign * value for sign, value in zip(self._signs, values, strict=True))
        there = self._reached[level]
        if there.get(number) == told:
            return
        if number in there or len(told) > 1:
            self._ranked.pop(level, None)
        there[number] = told
        if level in self._ranked:  # of ten thousand trials, one finds its place faster than all are sorted
            bisect.insort(self._ranked[level], number, key=lambda other: (there[other], other))

    def count(self, level: int) -> int:
        """Return how many have reached a rung."""
        return len(self._reached[level])

    def best(self, level: int) -> list[int]:
        """Return the numbers of those that may go on from a rung, the best first: one at least."""
        return self.ranked(level)[: max(1, self.count(level) // self.factor)]

    def ranked(self, level: int) -> list[int]:
        """Return the numbers of all that have reached a rung, the best first.

        By value; of several objectives by non-dominated sorting, then by how alone they stand.
        """
        if level not in self._ranked:
            there = sorted(self._reached[level])
            order = pareto.order([self._reached[level][number] for number in there])
            self._ranked[level] = [there[i] for i in order]
        return self._ranked[level]
