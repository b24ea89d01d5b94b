"""Rank correlations with intervals: does one number order things as another one does?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Z = 1.96
"""Of a normal distribution, 95 % lie within so many deviations."""


@dataclass(frozen=True)
class Correlation:
    """A rank correlation of n pairs with its 95 % interval; NaN where the pairs do not tell.

    Attributes:
        value: from -1 to 1.
        low, high: of the interval.
        count: n.
    """

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "unknown"
        interval = "" if math.isnan(self.low) else f" ({self.low:+.2f} to {self.high:+.2f})"
        return f"{self.value:+.2f}{interval}"


def kendall(left: Sequence[float], right: Sequence[float]) -> Correlation:
    """Return Kendall's tau-b, in which ties count for neither side.

    The interval is Fisher's transformation with the variance 0.437 / (n - 4) (Fieller, Hartley &
    Pearson 1957); it needs 5 pairs.
    """
    a, b = _signs(left), _signs(right)
    return _told(_ratio((a * b).sum(), (a * a).sum() * (b * b).sum()), len(left), 0.437, 4)


def spearman(left: Sequence[float], right: Sequence[float]) -> Correlation:
    """Return Spearman's rho: the correlation of ranks, tied ones averaged.

    The interval is Fisher's transformation with the variance 1.06 / (n - 3), as of `kendall`.
    """
    a, b = (ranks - ranks.mean() for ranks in (_ranks(left), _ranks(right)))
    return _told(_ratio((a * b).sum(), (a * a).sum() * (b * b).sum()), len(left), 1.06, 3)


def kendall_within(
    left: Sequence[float],
    right: Sequence[float],
    sizes: Sequence[float],
    share: float = 0.1,
    seed: int = 0,
    samples: int = 1000,
) -> tuple[Correlation, int]:
    """Return Kendall's tau over the pairs of about equal size alone, and how many pairs these are.

    The interval is of a bootstrap over the things that are compared (percentiles).

    Args:
        left, right: what is compared.
        sizes: positive.
        share: by which the larger of two may exceed the smaller.
        seed: of the bootstrap.
        samples: of it; 0: no interval.
    """
    a, b, logs = _signs(left), _signs(right), np.log(np.asarray(sizes, float))
    near = np.abs(logs[:, None] - logs[None]) <= math.log1p(share)
    np.fill_diagonal(near, False)
    count = len(left)
    found = _within(a, b, near, np.arange(count))
    stream = np.random.default_rng(seed)
    drawn = (
        [_within(a, b, near, stream.integers(count, size=count)) for _ in range(samples)] if count > 4 else []
    )
    known = [value for value in drawn if not math.isnan(value)]
    low, high = np.quantile(known, [0.025, 0.975]) if 2 * len(known) > samples > 0 else (math.nan, math.nan)
    return Correlation(found, float(low), float(high), count), int(near.sum()) // 2


_Matrix = npt.NDArray[np.float64]


def _within(a: _Matrix, b: _Matrix, near: npt.NDArray[np.bool_], kept: npt.NDArray[np.int64]) -> float:
    chosen = np.ix_(kept, kept)
    a, b = a[chosen] * near[chosen], b[chosen] * near[chosen]
    return _ratio((a * b).sum(), (a * a).sum() * (b * b).sum())


def _signs(values: Sequence[float]) -> _Matrix:
    """Return for each pair which one is larger, [n, n]."""
    row = np.asarray(values, dtype=np.float64)
    signs: _Matrix = np.sign(row[:, None] - row[None])
    return signs


def _ranks(values: Sequence[float]) -> _Matrix:
    ranks: _Matrix = _signs(values).sum(axis=1)
    return ranks


def _ratio(product: float, squares: float) -> float:
    return float(product / math.sqrt(squares)) if squares > 0 else math.nan


def _told(value: float, count: int, scale: float, lost: int) -> Correlation:
    if math.isnan(value) or count <= lost or abs(value) >= 1:
        return Correlation(value, math.nan, math.nan, count)
    middle, wide = math.atanh(value), _Z * math.sqrt(scale / (count - lost))
    return Correlation(value, math.tanh(middle - wide), math.tanh(middle + wide), count)
