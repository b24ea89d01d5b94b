"""Configurations as rows of numbers: what the samplers of this package compute with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from nas.search.samplers.structure import Structure

if TYPE_CHECKING:
    from nas.search.samplers.presence import Presence

Array = npt.NDArray[np.float64]


_REACHES = np.array([0.01, 0.05, 0.2])
"""How far a number moves in one edit, as shares of its range."""
_COUNTED = 1 << 53
"""A number with more steps is taken to have any value on the way; decoded, it is rounded to one of them."""
_CHOICES = 100
"""Of a parameter with more choices, so many at random are the edits of a row."""


class Encoding:
    """Maps configurations to rows [N] and back.

    A categorical parameter is the index of its choice; a number is its place in its range, from 0 to
    1, on its own (linear or logarithmic) scale. NaN stands for a parameter that a trial did not ask for.

    Args:
        space: name to Optuna's distribution, for N parameters.
        structure: what is known of the space beyond them.
    """

    def __init__(self, space: Mapping[str, BaseDistribution], structure: Structure | None = None) -> None:
        self.space = dict(space)
        self.structure = structure
        self.names = list(space)
        self.column = {name: i for i, name in enumerate(self.names)}
        self.choices = np.array([_choices(d) for d in space.values()], dtype=np.int64)
        self.is_categorical = np.array([isinstance(d, CategoricalDistribution) for d in space.values()], bool)
        self.categorical = np.flatnonzero(self.is_categorical)
        self.numeric = np.flatnonzero(~self.is_categorical)
        self.lists = _lists(space)
        self.places = {i: p for i, d in enumerate(space.values()) if (p := _places(d)) is not None}
        """Of each categorical parameter whose choices are numbers: the places of its choices, from 0 to 1."""
        self.measured = np.array([*self.numeric, *self.places], dtype=np.int64)
        self._log_integers = {
            i: _bounds(d) for i, d in enumerate(space.values()) if isinstance(d, IntDistribution) and d.log
        }
        self.presence: Presence | None = None

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
        """Return independent rows [count, N]: uniform, or as likely as the structure's weights say."""
        return self.settled(self.uniform(rng, count), rng)

    def uniform(self, rng: np.random.Generator, count: int) -> Array:
        """Return independent rows [count, N] with a value for every parameter, weighted where weights are."""
        rows = self._snap(rng.random((count, len(self.names))))
        for name, weights in self.structure.weights.items() if self.structure else ():
            if name in self.column:
                rows[:, self.column[name]] = rng.choice(len(weights), count, p=np.array(weights))
        return rows

    def filled(self, row: Array, rng: np.random.Generator) -> Array:
        """Return a row [N] with a value for each parameter that may be asked for.

        Without a structure that is every one: what an edited configuration asks for is not known.
        """
        if self.structure is not None or not np.isnan(row).any():
            return row
        filled: Array = np.where(np.isnan(row), self.uniform(rng, 1)[0], row)
        return filled

    def steps(self, name: str) -> Array:
        """Return the values in a row that a parameter with finitely many has, in their order."""
        i = self.column[name]
        count = int(self.choices[i])
        return np.linspace(0.0, count - 1 if self.is_categorical[i] else 1.0, count)

    def allowed(self, row: Array) -> bool:
        """Return whether a row [N] would be trained, as far as is known."""
        return self.structure is None or self.structure.allowed(self.decode(row))

    def numbers(self, name: str, distribution: BaseDistribution, rows: Array) -> Array:
        """Return the numbers [n] that a parameter has in rows [n, N]; NaN where it is not asked for."""
        if name not in self.column:  # it has one value only
            return np.full(len(rows), float(_decode(distribution, 0.0)))
        values = rows[:, self.column[name]]
        if isinstance(distribution, CategoricalDistribution):
            table = np.array(distribution.choices, dtype=np.float64)
            return np.where(np.isnan(values), np.nan, table[np.nan_to_num(values).astype(np.int64)])
        assert isinstance(distribution, IntDistribution | FloatDistribution)
        low, high = _bounds(distribution)
        placed = low + values * (high - low)
        if distribution.log:
            placed = np.exp(placed)
        elif distribution.step is not None:
            step = distribution.step
            placed = distribution.low + np.round((placed - distribution.low) / step) * step
        return np.round(placed) if isinstance(distribution, IntDistribution) else placed

    def neighbours(self, row: Array, rng: np.random.Generator) -> Array:
        """Return every row one edit away, [M, N]: all other choices, or some near and one far number.

        With a structure, edits of whole lists are among them.
        """
        settled = self.settled(self.edits(row, rng), rng)
        same = (settled == row) | (np.isnan(settled) & np.isnan(row))
        kept: Array = settled[~same.all(axis=1)]
        return kept

    def edits(self, row: Array, rng: np.random.Generator) -> Array:
        """Return the neighbours of a row before they are settled: it takes as long for many as for one."""
        found = []
        for i in range(len(self.names)):
            values = self._other_values(i, row[i], rng)
            edited = np.repeat(row[None], len(values), axis=0)
            edited[:, i] = values
            found.append(edited)
        if self.structure is not None:
            found.append(self.structure.edits(self, row, rng))
        return np.concatenate(found) if found else row[None][:0]

    def settled(self, rows: Array, rng: np.random.Generator) -> Array:
        """Return rows [n, N] with NaN where a parameter would not be asked for, as far as is known."""
        if self.structure is not None:
            return self.structure.settle(self, rows, rng)
        return self.presence.settle(rows, self.uniform(rng, len(rows))) if self.presence else rows

    def nearby(self, row: Array, rng: np.random.Generator, count: int) -> Array:
        """Return rows [count, N], not settled, in which all numbers of a row moved at once."""
        reach = 10 ** rng.uniform(-2.5, -0.5, (count, 1))
        moved = np.repeat(row[None], count, axis=0)
        moved[:, self.numeric] += reach * rng.normal(size=(count, len(self.numeric)))
        return self._on_grid(moved)

    def _snap(self, unit: Array) -> Array:
        """Map uniform numbers in [0, 1) to values that the parameters have."""
        steps = np.maximum(self.choices - 1, 1)
        index = np.floor(unit * self.choices)
        evenly = np.where(self.choices > 0, index / steps, unit)
        return self._on_grid(np.where(self.is_categorical, index, evenly))

    def _on_grid(self, rows: Array) -> Array:
        """Move numbers in rows [n, N] to the nearest ones that their parameters have."""
        for i in self.numeric.tolist():
            rows[:, i] = self._nearest(i, rows[:, i])
        return rows

    def _nearest(self, i: int, places: Array) -> Array:
        """Return the nearest places [n] to some that a number has."""
        places = places.clip(0, 1)
        if self.choices[i] > 0:
            steps = max(int(self.choices[i]) - 1, 1)
            return np.asarray(np.round(places * steps) / steps)
        if i in self._log_integers:
            low, high = self._log_integers[i]
            return np.asarray((np.log(np.round(np.exp(low + places * (high - low)))) - low) / (high - low))
        return places

    def _other_values(self, i: int, value: float, rng: np.random.Generator) -> Array:
        if self.is_categorical[i]:
            others = np.array([c for c in range(self.choices[i]) if c != value], dtype=np.float64)
            return others if len(others) <= _CHOICES else rng.choice(others, _CHOICES, replace=False)
        here = 0.5 if math.isnan(value) else value
        moved = [*(here + rng.normal(size=3) * _REACHES), rng.random()]
        if self.choices[i] > 0:
            step = 1 / max(int(self.choices[i]) - 1, 1)
            moved += [here - step, here + step]
        elif i in self._log_integers:
            low, high = self._log_integers[i]
            number = math.exp(low + here * (high - low))
            moved += [(math.log(max(number + step, 1.0)) - low) / (high - low) for step in (-1, 1)]
        found = np.unique(self._nearest(i, np.array(moved)))
        return found[np.abs(found - here) > 1e-9]


def _lists(space: Mapping[str, BaseDistribution]) -> list[list[int]]:
    """Return the indices of parameters that have the same choices, several each."""
    places: dict[tuple[Any, ...], list[int]] = {}
    for i, distribution in enumerate(space.values()):
        if isinstance(distribution, CategoricalDistribution):
            places.setdefault(distribution.choices, []).append(i)
    return [found for found in places.values() if len(found) > 1]


def _places(distribution: BaseDistribution) -> Array | None:
    """Return where each choice stands in their order, from 0 to 1; None: they are no numbers, or only two."""
    if not isinstance(distribution, CategoricalDistribution) or len(distribution.choices) < 3:
        return None
    numbers = [c for c in distribution.choices if isinstance(c, int | float) and not isinstance(c, bool)]
    if len(numbers) < len(distribution.choices):
        return None
    return np.asarray(np.argsort(np.argsort(numbers)) / (len(numbers) - 1))


def _choices(distribution: BaseDistribution) -> int:
    """Return how many values there are; 0: they are not evenly spaced on the parameter's scale."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if distribution.step is not None and not distribution.log:
        count = round((distribution.high - distribution.low) / distribution.step) + 1
        return count if count <= _COUNTED else 0
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
