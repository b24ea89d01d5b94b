"""A table's lists as candidates: for each search, one recorded run of every list is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.bench.curves import Curves
from nas.bench.entrants import Candidate
from nas.bench.trained import landscape


class Lists:
    """The lists of a table, to be raced by one run of each and ranked by the mean of all their runs.

    Args:
        table: as `nas.bench.trained.record` writes it.

    Attributes:
        landscape: its configurations, for samplers.
        shares: of the budget, at which values are recorded.
        count: of the lists.
    """

    def __init__(self, table: dict[str, Any]) -> None:
        self.landscape = landscape(table)
        self.shares: tuple[float, ...] = tuple(table["rungs"])
        self.count = len(table["rows"])
        sign = 1.0 if table["direction"] == "minimize" else -1.0
        self._values = [sign * np.array(runs, float) for _, _, runs in table["rows"]]
        self._ranks = [int(self.landscape.score(self.landscape.value(i))) for i in range(self.count)]

    def candidates(self, seed: int) -> list[Candidate]:
        """Return what one run of each list has told.

        Args:
            seed: of which run it is.
        """
        rng = np.random.default_rng(seed)
        drawn = [self._curve(runs[rng.integers(len(runs))]) for runs in self._values]
        return [Candidate(curve, rank) for curve, rank in zip(drawn, self._ranks, strict=True)]

    def curves(self) -> Curves:
        """Return every run of every list."""
        return [self._curve(run) for runs in self._values for run in runs]

    def _curve(self, run: Any) -> dict[float, float]:
        return dict(zip(self.shares, run.tolist(), strict=True))
