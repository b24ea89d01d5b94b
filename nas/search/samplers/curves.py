"""Where trials that were cut off would have come to, as far as others went on from there."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nas.search.samplers.encoding import Array
from nas.search.samplers.ledger import ROOM, doubled

END = sys.maxsize
"""The step of a trial that was trained to its end."""
_STEPS = 32
"""What a trial with more steps than this has told, as where each epoch is told, is left as it is."""


class Curves:
    """The values that trials had on their way, each at its trial's number.

    A trial that is paused or was pruned stands where it was cut off, and looks worse beside those that
    went on than it is. So it is moved by what others gained from there on average: all of those that
    were cut off at one step keep their order and their distances, and are compared with the rest as if
    they had gone on. (By the median, it found less where a few gain much more than most. Models with the
    step as an input, such as MOBSTER, Klein et al. 2020, arXiv 2003.10865, also learn how sure that is.)

    Args:
        objectives: M, of a trial.
    """

    def __init__(self, objectives: int) -> None:
        self._objectives = objectives
        self._last = np.full(ROOM, END)
        self._told: dict[int, Array] = {}

    def put(self, number: int, told: Mapping[int, Sequence[float]]) -> None:
        """Note a trial: its objectives [M] by step, those of its end at `END`."""
        while number >= len(self._last):
            self._last = doubled(self._last, END)
            self._told = {step: doubled(values, np.nan) for step, values in self._told.items()}
        self.drop(number)
        if len(told) > _STEPS:
            return
        self._last[number] = max(told, default=END)
        for step, values in told.items():
            if step not in self._told:
                self._told[step] = np.full((len(self._last), self._objectives), np.nan)
            self._told[step][number] = values

    def drop(self, number: int) -> None:
        """Forget a trial, if it is known."""
        self._last[number : number + 1] = END
        for values in self._told.values():
            values[number : number + 1] = np.nan

    def carried(self, numbers: npt.NDArray[np.int64], values: Array) -> Array:
        """Return the last values [n, M] of trials with such numbers [n], carried on to the end."""
        last = self._last[numbers]
        carried = values.copy()
        for step in np.unique(last[last < END]).tolist():
            carried[last == step] += self._gained(step)
        return carried

    def _gained(self, step: int) -> Array:
        """Return what trials gain from a step to the end, [M], as far as it is known."""
        total = np.zeros(self._objectives)
        for later in sorted(self._told):
            if later <= step:
                continue
            gained = self._told[later] - self._told[step]
            known = np.isfinite(gained).all(axis=1)
            if known.any():
                total += np.mean(gained[known], axis=0)
                step = later
        return total
