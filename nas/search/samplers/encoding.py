"""Configurations as rows of numbers: what the samplers of this package compute with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Array = npt.NDArray[np.float64]

_NEAR = 0.2
"""The distance, as a share of its range, at which two values of a number are half alike."""


class Encoding:
    """Maps configurations to rows [N] and back.

    A categorical parameter is the index of its choice; a number is its place in its range, from 0 to
    1, on its own (linear or logarithmic) scale. NaN stands for a parameter that a trial did not ask for.

    Args:
        space: name to Optuna's distribution, for N parameters.
    """

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self.space = dict(space)
        self.names = list(space)
        self.choices = np.array([_choices(d) for d in space.values()], dtype=np.int64)
        self.is_categorical = np.array([isinstance(d, CategoricalDistribution) for d in space.values()], bool)
        self.lists = _lists(space)

    @property
    def size(self) -> float:
        """The number of configurations; infinite if a number is continuous."""
        return math.inf if (self.choices == 0).any() else math.prod(int(n) for n in self.choices)

    def encode(self, params: Mapping[str, Any]) -> Array:
        """Return the row [N] of a trial's parameters; unknown values count as not asked for."""
        row = np.full(len(self.names), np.nan)
        for i, (name, distribution) in enumerate(self.space.items()):
            if name in params:
                row[i] = _encode(distribution, params[name])
        return row

    def decode(self, row: Array) -> dict[str, Any]:
        """Return the parameters of a row [N]; those that are NaN are left out."""
        return {
            name: _decode(distribution, value)
            for (name, distribution), value in zip(self.space.items(), row.tolist(), strict=True)
            if not math.isnan(value)
        }

    def random(self, rng: np.random.Generator, count: int) -> Array:
        """Return independent uniform rows [count, N]."""
        rows = rng.random((count, len(self.names)))
        return self._snap(rows)

    def spread(self, rng: np.random.Generator, count: int) -> Array:
        """Return rows [count, N] in which every value of a parameter comes equally often.

        A Latin hypercube (McKay et al. 1979): the first trials tell the most about each parameter.
        """
        strata = np.stack([rng.permutation(count) for _ in self.names], axis=1)
        return self._snap((strata + rng.random(strata.shape)) / count)

    def neighbours(self, row: Array, rng: np.random.Generator) -> Array:
        """Return every row one edit away, [M, N]: all other choices, or two near and one far number."""
        found = []
        for i in range(len(self.names)):
            values = self._other_values(i, row[i], rng)
            edited = np.repeat(row[None], len(values), axis=0)
            edited[:, i] = values
            found.append(edited)
        return np.concatenate(found) if found else row[None][:0]

    def alike(self, left: Array, right: Array) -> Array:
        """Return how alike rows [A, N] and [B, N] are, averaged over the parameters: [A, B], 0 to 1.

        Two choices are alike or not, numbers by their distance. What is not asked for is alike only to
        what is not asked for either.
        """
        shared: Array = self._one_hot(left) @ self._one_hot(right).T
        for i in np.flatnonzero(~self.is_categorical):
            a, b = left[:, None, i], right[None, :, i]
            shared = shared + np.nan_to_num(np.exp2(-(((a - b) / _NEAR) ** 2)))
            shared = shared + (np.isnan(a) & np.isnan(b))
        return shared / len(self.names)

    def alike_counts(self, left: Array, right: Array) -> Array:
        """Return how alike rows [A, N] and [B, N] are in how often they make each choice: [A, B], 0 to 1.

        Parameters with the same choices are the places of one list; where a choice stands in it does
        not matter here. Without such lists all rows are equal.
        """
        a, b = self._counts(left), self._counts(right)
        shared = np.minimum(a[:, None], b[None]).sum(axis=-1)
        return shared / len(self.lists) if self.lists else np.ones(shared.shape)

    def _counts(self, rows: Array) -> Array:
        """Return the share of each choice in each list, [A, choices of all lists]."""
        shares = [
            (rows[:, places, None] == np.arange(self.choices[places[0]])).mean(axis=1)
            for places in self.lists
        ]
        return np.concatenate(shares, axis=1) if shares else np.zeros((len(rows), 0))

    def _one_hot(self, rows: Array) -> Array:
        """Return a 1 for each choice that was made, [A, all choices]; the last of each: not asked for."""
        kept = np.flatnonzero(self.is_categorical)
        starts = np.cumsum([0, *(self.choices[kept] + 1)])
        out = np.zeros((len(rows), int(starts[-1])))
        for start, i in zip(starts[:-1], kept, strict=True):
            chosen = np.nan_to_num(rows[:, i], nan=float(self.choices[i])).astype(np.int64)
            out[np.arange(len(rows)), start + chosen] = 1.0
        return out

    def _snap(self, unit: Array) -> Array:
        """Map uniform numbers in [0, 1) to values that the parameters have."""
        grid = self.choices > 0
        index = np.floor(unit * self.choices)
        steps = np.maximum(self.choices - 1, 1)
        return np.where(self.is_categorical, index, np.where(grid, index / steps, unit))

    def _other_values(self, i: int, value: float, rng: np.random.Generator) -> Array:
        if self.is_categorical[i]:
            return np.array([c for c in range(self.choices[i]) if c != value], dtype=np.float64)
        here = 0.5 if math.isnan(value) else value
        moved = np.array([here + rng.normal() * 0.05, here + rng.normal() * 0.2, rng.random()])
        if self.choices[i] > 0:
            steps = max(int(self.choices[i]) - 1, 1)
            moved = (
                np.unique([*np.round(moved.clip(0, 1) * steps), here * steps - 1, here * steps + 1]) / steps
            )
        moved = moved.clip(0, 1)
        return moved[np.abs(moved - here) > 1e-9]


def _lists(space: Mapping[str, BaseDistribution]) -> list[list[int]]:
    """Return the indices of parameters that have the same choices, several each."""
    places: dict[tuple[Any, ...], list[int]] = {}
    for i, distribution in enumerate(space.values()):
        if isinstance(distribution, CategoricalDistribution):
            places.setdefault(distribution.choices, []).append(i)
    return [found for found in places.values() if len(found) > 1]


def _choices(distribution: BaseDistribution) -> int:
    """Return how many values there are; 0: a continuous number."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if isinstance(distribution, IntDistribution | FloatDistribution) and distribution.step is not None:
        return round((distribution.high - distribution.low) / distribution.step) + 1
    return 0


def _encode(distribution: BaseDistribution, value: Any) -> float:
    if isinstance(distribution, CategoricalDistribution):
        try:
            return float(distribution.to_internal_repr(value))
        except ValueError:  # a choice that an older version of the space had
            return math.nan
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = _bounds(distribution)
    placed = math.log(value) if distribution.log else float(value)
    return (placed - low) / (high - low) if high > low else 0.0


def _decode(distribution: BaseDistribution, value: float) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(value)]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = _bounds(distribution)
    placed = low + value * (high - low)
    number = math.exp(placed) if distribution.log else placed
    if distribution.step is not None and not distribution.log:
        number = distribution.low + round((number - distribution.low) / distribution.step) * distribution.step
    number = min(max(number, distribution.low), distribution.high)
    return round(number) if isinstance(distribution, IntDistribution) else number


def _bounds(distribution: IntDistribution | FloatDistribution) -> tuple[float, float]:
    low, high = float(distribution.low), float(distribution.high)
    return (math.log(low), math.log(high)) if distribution.log else (low, high)
