"""The rows and objectives of trials, each at its trial's number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.search.samplers.encoding import Array

ROOM = 64
"""So many trials there is room for at first."""


class Ledger:
    """Grows as trials come, so that one more of ten thousand costs no more than the first.

    Args:
        width: N, the parameters of a row.
        objectives: M, of a trial.
    """

    def __init__(self, width: int, objectives: int) -> None:
        self._there = np.zeros(ROOM, bool)
        self._rows, self._broken = np.zeros((ROOM, width)), np.zeros(ROOM)
        self._values = np.zeros((ROOM, objectives))

    def put(self, number: int, row: Array, values: Sequence[float], broken: float) -> None:
        """Note a trial: its row [N], its objectives [M], and by how much it breaks constraints."""
        while number >= len(self._there):
            self._there, self._broken = doubled(self._there), doubled(self._broken)
            self._rows, self._values = doubled(self._rows), doubled(self._values)
        self._there[number], self._rows[number], self._broken[number] = True, row, broken
        self._values[number] = values

    def drop(self, number: int) -> None:
        """Forget a trial, if it is known."""
        self._there[number : number + 1] = False

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """The numbers of the trials [n], ascending."""
        return np.flatnonzero(self._there)

    def all(self) -> tuple[Array, Array, Array]:
        """Return rows [n, N], objectives [n, M] and how far constraints are broken [n], by number."""
        there = self.numbers
        return self._rows[there], self._values[there], self._broken[there]


def doubled(values: Any, rest: float = 0) -> Any:
    """Return an array with as much room again along its first axis, filled with ``rest``."""
    return np.concatenate([values, np.full_like(values, rest)])
