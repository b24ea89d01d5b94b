"""The curves of the trials that finished last: what forecasts learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nas.search.rungs.ladder import Values

LEARNED = 1000
"""A forecast learns from so many trials that finished last: more would cost more time than they tell."""


class Finished:
    """Values at rungs, and final ones, of finished trials; the oldest make room for the latest.

    Args:
        levels: of the rungs, in percent of the budget.
        objectives: how many there are.
    """

    def __init__(self, levels: Sequence[int], objectives: int) -> None:
        self._column = {level: i for i, level in enumerate(levels)}
        self._curves = np.full((LEARNED, len(levels), objectives), np.nan)
        self._ends = np.full((LEARNED, objectives), np.nan)
        self._count = 0

    def add(self, told: Mapping[int, Values], end: Values) -> None:
        """Note what a trial had reported by percent of its budget, and its end."""
        row = self._count % LEARNED
        self._curves[row] = np.nan
        for level in told.keys() & self._column.keys():
            self._curves[row, self._column[level]] = told[level]
        self._ends[row] = end
        self._count += 1

    def at(
        self, levels: Sequence[int], objective: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the curves [n, levels] and ends [n] of those that have reported at all of some rungs."""
        count = min(self._count, LEARNED)
        curves = self._curves[:count, [self._column[level] for level in levels], objective]
        known = ~np.isnan(curves).any(axis=1)
        return curves[known], self._ends[:count, objective][known]
