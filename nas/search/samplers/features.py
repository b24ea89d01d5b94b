"""Rows as what kernels compare them by: choices, their counts, and which of them follow each other."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from nas.search.samplers.encoding import Array, Encoding


class Features:
    """What is compared of rows [A, N]; each part is made when it is asked for.

    Args:
        encoding: of the rows.
        rows: [A, N].
    """

    def __init__(self, encoding: Encoding, rows: Array) -> None:
        self.encoding, self.rows = encoding, rows

    @functools.cached_property
    def codes(self) -> npt.NDArray[np.int16]:
        """The choice made for each categorical parameter, [A, K]; one more than there are: not asked for."""
        kept, count = self.encoding.categorical, self.encoding.choices
        return np.where(np.isnan(self.rows[:, kept]), count[kept], self.rows[:, kept]).astype(np.int16)

    @functools.cached_property
    def numbers(self) -> tuple[Array, Array]:
        """Where numbers, then choices that are numbers, stand, from 0 to 1, and 1 where they lack: [A, K].

        What lacks stands in the middle.
        """
        placed = self.rows[:, self.encoding.measured]
        for k, i in enumerate(self.encoding.places, start=len(self.encoding.numeric)):
            known = ~np.isnan(placed[:, k])
            placed[known, k] = self.encoding.places[i][placed[known, k].astype(np.int64)]
        lacking = np.isnan(placed)
        return np.where(lacking, 0.5, placed), lacking.astype(np.float64)

    @functools.cached_property
    def one_hot(self) -> Array:
        """A 1 for each choice that was made, [A, all choices], the last of each: not asked for."""
        sizes = self.encoding.choices[self.encoding.categorical] + 1
        starts = np.cumsum(sizes) - sizes
        out = np.zeros((len(self.rows), int(sizes.sum())))
        np.put_along_axis(out, self.codes + starts, 1.0, axis=1)
        return out

    @functools.cached_property
    def counts(self) -> Array:
        """The square root of the share of each choice in all lists, [A, choices]: rows of length 1."""
        return _unit(_shares(self._lists, pairs=False))

    @functools.cached_property
    def bigrams(self) -> Array:
        """The square root of the share of each two choices that follow each other, as in `counts`."""
        return _unit(_shares(self._lists, pairs=True))

    @functools.cached_property
    def lists(self) -> list[npt.NDArray[np.int16]]:
        """The codes of the places of each list, [A, places]."""
        return [codes for codes, _ in self._lists]

    @functools.cached_property
    def _lists(self) -> list[tuple[npt.NDArray[np.int16], int]]:
        categorical, choices = self.encoding.categorical, self.encoding.choices
        return [
            (self.codes[:, np.searchsorted(categorical, places)], int(choices[places[0]]) + 1)
            for places in self.encoding.lists
        ]


def _shares(lists: list[tuple[npt.NDArray[np.int16], int]], pairs: bool) -> Array:
    """Return how often each choice, or each two in a row, stands in lists: [A, choices of all lists]."""
    found = []
    for codes, count in lists:
        told = codes[:, :-1].astype(np.int32) * count + codes[:, 1:] if pairs else codes
        size = count * count if pairs else count
        at = told + np.arange(len(told), dtype=np.int64)[:, None] * size
        counted = np.bincount(at.ravel(), minlength=len(told) * size).reshape(len(told), size)
        kept = counted.reshape(-1, count, count)[:, :-1, :-1] if pairs else counted[:, :-1]
        found.append(kept.reshape(len(told), -1))
    return np.concatenate(found, axis=1).astype(np.float64)


def _unit(shares: Array) -> Array:
    return np.asarray(np.sqrt(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1.0)))
