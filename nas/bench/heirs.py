"""How inherited values rank lists: beside values from scratch, and with the steps that weights have seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas.search.correlation import spearman

KINDS = {
    "inherited": "rank correlation",
    "equal steps": "at equal steps seen",
}
"""Rank correlations of inherited values with those from scratch, and their headings in a table."""
_STARTS = ("checkpoint", "transfer", "trainer")


class Lineage:
    """Which trial of a search has whose weights, and how many steps these have seen.

    Args:
        rows: of the leaderboard, of trials that were trained.
        steps: of each trial itself, by number.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], steps: Mapping[int, int]) -> None:
        self.rows = {row["number"]: row for row in rows}
        self._steps = steps

    def spread(self, count: int) -> list[Mapping[str, Any]]:
        """Return so many trials with inherited weights, spread evenly over the search."""
        heirs = [
            row for _, row in sorted(self.rows.items()) if "inherited" in row and row["value"] is not None
        ]
        places = np.linspace(0, len(heirs) - 1, min(count, len(heirs))).round().astype(int)
        return [heirs[place] for place in places]

    def seen(self, number: int) -> int:
        """Return how many steps a trial's weights have seen: its own, and those of all before it."""
        inherited = self.rows[number].get("inherited")
        return self._steps[number] + (self.seen(inherited["from"]) if inherited else 0)


def from_scratch(overrides: Sequence[str]) -> list[str]:
    """Return a trial's overrides without those that let it inherit."""
    return [o for o in overrides if o.partition("=")[0].split(".")[0] not in _STARTS]


def agreement(lineage: Lineage, scratch: Mapping[int, float]) -> dict[str, float]:
    """Return rank correlations of inherited values with values from scratch, by `KINDS`; NaN of fewer than 3.

    Args:
        lineage: of their search.
        scratch: number to the loss from scratch.
    """
    if len(scratch) < 3:
        return dict.fromkeys(KINDS, math.nan)
    values = [lineage.rows[number]["value"] for number in scratch]
    seen = [float(lineage.seen(number)) for number in scratch]
    found = [*scratch.values()]
    return {"inherited": spearman(values, found).value, "equal steps": partial(values, found, seen)}


def partial(left: Sequence[float], right: Sequence[float], by: Sequence[float]) -> float:
    """Return Spearman's partial correlation: of ranks, with what the ranks of ``by`` explain taken out."""
    direct, first, second = (
        _known(spearman(*pair).value) for pair in ((left, right), (left, by), (right, by))
    )
    rest = math.sqrt(max(1 - first**2, 0.0) * max(1 - second**2, 0.0))
    return (direct - first * second) / rest if rest > 1e-7 else 0.0


def _known(value: float) -> float:
    """Return a correlation, 0 where one side is the same for all."""
    return 0.0 if math.isnan(value) else value
