"""What a study has found so far, as rows and values that are to be made small."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from optuna.study import StudyDirection

from nas.search.samplers.encoding import Array


@dataclass(frozen=True)
class History:
    """What a study's trials were, and what came of them.

    Attributes:
        rows: of trials that have ended or are paused, [n, N], by number.
        values: their objectives [n, M], each the smaller the better; a trial that failed or broke a
            constraint is as bad as the worst, or worse.
        pending: rows of trials that run now, [p, N].
        asked: the keys of those that do not run.
    """

    rows: Array
    values: Array
    pending: Array
    asked: Set[bytes]

    def holds(self, row: Array) -> bool:
        """Return whether a row [N] was asked for."""
        return (asked := key(row)) in self.asked or asked in self._running

    def repeats(self, row: Array) -> bool:
        """Return whether a row [N] was asked for, or would end up as one that was.

        A program that asks for its parameters one after another does the same again when the same
        values come: so a row that has all the values of an earlier one is that one, whatever else it
        holds for parameters that were not asked for.
        """
        return self.holds(row) or bool(_has_all(row, self._ended_early).any())

    def may_repeat(self, row: Array) -> bool:
        """Return whether a trial that runs, and has not all its values yet, may end up as a row [N]."""
        return bool(_has_all(row, self._under_way).any())

    def rarest(self, rows: Array) -> Array:
        """Return the first of rows [n, N] that the fewest trials have or may come to."""
        everyone = np.concatenate([self.rows, self.pending])
        counts = [int(_has_all(row, everyone).sum()) for row in rows]
        rarest: Array = rows[int(np.argmin(counts))]
        return rarest

    @functools.cached_property
    def _running(self) -> set[bytes]:
        return {key(row) for row in self.pending}

    @functools.cached_property
    def _ended_early(self) -> Array:
        """The rows of finished trials that lack some parameter."""
        return _partial(self.rows)

    @functools.cached_property
    def _under_way(self) -> Array:
        """The rows of running trials that lack some parameter."""
        return _partial(self.pending)

    def scores(self, rng: np.random.Generator) -> Array:
        """Return one number for each finished trial [n], of mean 0 and deviation 1; small is good.

        Several objectives are weighed at random (ParEGO: Knowles 2006), so that one proposal after
        another moves along the whole front. What lies far above the rest is cut off, so that one
        disaster does not hide the differences between good trials.
        """
        scaled = np.stack([_standard(column) for column in self.values.T], axis=1)
        if scaled.shape[1] == 1:
            return scaled[:, 0]
        weighed = scaled * rng.dirichlet(np.ones(scaled.shape[1]))
        return _standard(weighed.max(axis=1) + 0.05 * weighed.sum(axis=1))


_HUGE = 1e100
"""What is larger counts as this: its square is still a number."""


def key(row: Array) -> bytes:
    """Return what is equal for equal configurations."""
    return np.round(row, 9).tobytes()


def _partial(rows: Array) -> Array:
    return rows[np.isnan(rows).any(axis=1)]


def _has_all(row: Array, others: Array) -> npt.NDArray[np.bool_]:
    """Return of which other rows [n, N], which may lack some, a row [N] has all values, [n]."""
    return np.asarray(np.all(np.isnan(others) | (np.abs(others - row) < 1e-9), axis=1))


def filled(values: Array, broken: Array, directions: Iterable[StudyDirection]) -> Array:
    """Return objectives [n, M] that are to be made small, with failures and broken constraints made bad."""
    signs = np.array([-1.0 if d is StudyDirection.MAXIMIZE else 1.0 for d in directions])
    values = np.where(np.isfinite(values), np.clip(values * signs, -_HUGE, _HUGE), np.nan)
    broken = np.minimum(broken, _HUGE)
    most = broken.max() if len(broken) else 0.0
    for column in values.T:
        known = column[~np.isnan(column) & (broken <= 0)]
        worst = known.max() if len(known) else 0.0
        column[np.isnan(column)] = worst
        spread = float(known.std()) if len(known) > 1 else 1.0
        if most > 0:  # the nearer to what is allowed, the less bad
            column[broken > 0] = worst + spread * (1 + broken[broken > 0] / most)
    return values


def _standard(values: Array) -> Array:
    """Return values with mean 0 and deviation 1, cut off far above the middle half."""
    if len(values) == 0:
        return values
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    cut = np.minimum(values, middle + 3 * max(high - low, 1e-12)) if high > low else values
    deviation = cut.std()
    standard: Array = (cut - cut.mean()) / deviation if deviation > 0 else cut * 0
    return standard
