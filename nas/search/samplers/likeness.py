"""How alike configurations are: parameter by parameter, in neighbouring places of lists, and in counts."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from nas.search.samplers.encoding import Array
from nas.search.samplers.features import Features

_UNIT = 0.3
"""The distance of two numbers, as a share of their range, that counts as 1."""


class Likeness:
    """Compares rows [A, N] with rows [B, N]; every result is [A, B] but for `each`.

    Two choices are alike or not, numbers by their distance. What is not asked for is alike only to what
    is not asked for either; in distances, a number that is not asked for stands in the middle of its
    range, and that one of two is asked for counts as another choice. So every covariance that is made of
    these is one.
    """

    def __init__(self, left: Features, right: Features) -> None:
        self._left, self._right = left, right
        self.encoding = left.encoding

    def alike(self, weights: Array) -> Array:
        """Return the sum over parameters of ``weights`` [N] times how alike they are, from 0 to 1."""
        total = self._choices(weights)
        for i, closeness in zip(self.encoding.numeric, self.closeness, strict=True):
            total += weights[i] * closeness
        return total

    def squares(self, weights: Array) -> Array:
        """Return the sum over parameters of ``weights`` [N] times the square of how alike they are."""
        total = self._choices(weights)
        for i, closeness in zip(self.encoding.numeric, self.closeness, strict=True):
            total += weights[i] * closeness**2
        return total

    def differing(self, weights: Array, ordered: bool = False) -> Array:
        """Return the sum of ``weights`` [N] over choices that differ, and numbers that one of both lacks.

        Args:
            weights: of all parameters.
            ordered: choices that are numbers count as numbers.
        """
        chosen = weights.copy()
        if ordered:
            chosen[list(self.encoding.places)] = 0.0
        total = float(chosen[self.encoding.categorical].sum()) - self._choices(chosen)
        columns, (_, left), (_, right) = self._numbers(ordered)
        if left.any() or right.any():
            weighed = weights[columns]
            total += (left * weighed) @ (1 - right).T + ((1 - left) * weighed) @ right.T
        return total

    def apart(self, weights: Array, ordered: bool = False) -> Array:
        """Return the sum of ``weights`` [N] times squared distances over numbers, as in `differing`."""
        columns, (left, _), (right, _) = self._numbers(ordered)
        weighed = weights[columns]
        squares = (left**2 @ weighed)[:, None] + right**2 @ weighed - 2 * (left * weighed) @ right.T
        return np.maximum(squares, 0.0) / _UNIT**2

    def distances(self, weight: Array, ordered: bool) -> Array:
        """Return the sum over rows of ``weight`` [A, B] times the squared distance in each number: [K]."""
        _, (left, _), (right, _) = self._numbers(ordered)
        ends = weight.sum(axis=1) @ left**2 + weight.sum(axis=0) @ right**2
        return np.asarray(ends - 2 * (left * (weight @ right)).sum(axis=0)) / _UNIT**2

    def lacking(self, weight: Array, ordered: bool) -> Array:
        """Return the sum of ``weight`` [A, B] over rows of which one lacks a number, for each: [K]."""
        _, (_, left), (_, right) = self._numbers(ordered)
        ends = weight.sum(axis=1) @ left + weight.sum(axis=0) @ right
        return np.asarray(ends - 2 * (left * (weight @ right)).sum(axis=0))

    @functools.cached_property
    def closeness(self) -> list[Array]:
        """How alike each number is, from 0 to 1."""
        _, (left, lack), (right, lacks) = self._numbers(ordered=False)
        return [
            np.exp(-(((left[:, None, k] - right[None, :, k]) / _UNIT) ** 2))
            * (lack[:, None, k] == lacks[None, :, k])
            for k in range(left.shape[1])
        ]

    @functools.cached_property
    def each(self) -> Array:
        """How alike each parameter is: [N, A, B]."""
        each = np.empty((len(self.encoding.names), *self._shape))
        left, right = self._left.codes, self._right.codes
        for k, i in enumerate(self.encoding.categorical):
            each[i] = left[:, k, None] == right[None, :, k]
        for i, closeness in zip(self.encoding.numeric, self.closeness, strict=True):
            each[i] = closeness
        return each

    @functools.cached_property
    def neighbours(self) -> Array:
        """The share of neighbouring places of lists in which both choices are alike."""
        found = np.zeros(self._shape, dtype=np.int16)
        count = 0
        for left, right in zip(self._left.lists, self._right.lists, strict=True):
            same = left[:, 0, None] == right[None, :, 0]
            for place in range(1, left.shape[1]):
                here = left[:, place, None] == right[None, :, place]
                found += same & here
                same, count = here, count + 1
        return found / max(count, 1)

    @functools.cached_property
    def counts(self) -> Array:
        """How alike the lists are in how often they hold each choice, wherever it stands: 0 to 1."""
        return np.asarray(self._left.counts @ self._right.counts.T)

    @functools.cached_property
    def bigrams(self) -> Array:
        """How alike the lists are in which choices follow each other, wherever they stand: 0 to 1."""
        return np.asarray(self._left.bigrams @ self._right.bigrams.T)

    def _numbers(
        self, ordered: bool
    ) -> tuple[npt.NDArray[np.int64], tuple[Array, Array], tuple[Array, Array]]:
        """Return the columns of numbers, and, if wanted, of choices that are numbers, and both sides' own."""
        count = None if ordered else len(self.encoding.numeric)
        left, right = ((p[:, :count], n[:, :count]) for p, n in (self._left.numbers, self._right.numbers))
        return self.encoding.measured[:count], left, right

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self._left.rows), len(self._right.rows)

    def _choices(self, weights: Array) -> Array:
        chosen = weights[self.encoding.categorical]
        if not chosen.any():
            return np.zeros(self._shape)
        spread = np.repeat(chosen, self.encoding.choices[self.encoding.categorical] + 1)
        return np.asarray(self._left.one_hot @ (self._right.one_hot * spread).T)
