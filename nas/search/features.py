"""Configurations as rows of features: what stands where, how often each block is there, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.search.spaces.conditions import Values
from nas.search.spaces.literals import Scalar
from nas.search.spaces.parameters import Choice, Range
from nas.search.spaces.slots import Slots
from nas.search.spaces.space import Space

Costs = Callable[[Mapping[str, Any]], Mapping[str, float]]


class Features:
    """Turns parameters into features; their names say what they are.

    A choice is a 1 at its place (``encoder.hidden_cls.0=attn``), a number its place in its range from
    0 to 1, on its own scale; what is not asked for is all 0. Of each list there is the number of each
    block (``encoder.hidden_cls#attn``) and of all (``encoder.hidden_cls#``), each as often as it runs;
    of each cost its logarithm.

    Args:
        space: what varies.
        costs: tells the costs of changes of the configuration, as `Pricing.costs` does; None: no costs.
        measures: the costs' names.
    """

    def __init__(
        self, space: Space, costs: Costs | None = None, measures: Sequence[str] = ("cost/parameters",)
    ) -> None:
        self._space, self._costs = space, costs
        self._measures = list(measures) if costs else []
        self._lists = [entry for entry in space.entries if isinstance(entry, Slots)]
        self.names = [name for p in space.parameters() for name in _names(p)]
        self.names += [f"{s.key}#{name}" for s in self._lists for name in ("", *s.names)]
        self.names += self._measures

    def rows(self, configurations: Sequence[Values]) -> npt.NDArray[np.float64]:
        """Return the features [n, F] of n configurations' parameters.

        Raises:
            InputError: costs are wanted, and a configuration cannot be built.
        """
        return np.array([self._row(values) for values in configurations]).reshape(-1, len(self.names))

    def _row(self, values: Values) -> list[float]:
        row = [
            f for p in self._space.parameters() for f in _features(p, values.get(p.name), p.name in values)
        ]
        for slots in self._lists:
            held = slots.value(values) if slots.items[0].name in values else []
            row += [float(len(held)), *(float(held.count(name)) for name in slots.names)]
        if self._costs is not None:
            found = self._costs(self._space.changes(values))
            row += [float(np.log1p(found[measure])) for measure in self._measures]
        return row


def _names(parameter: Choice | Range) -> list[str]:
    if isinstance(parameter, Range):
        return [parameter.name]
    return [f"{parameter.name}={choice}" for choice in parameter.choices]


def _features(parameter: Choice | Range, value: Scalar, asked: bool) -> list[float]:
    if isinstance(parameter, Choice):
        return [float(asked and choice == value) for choice in parameter.choices]
    if not asked:
        return [0.0]
    scale = np.log if parameter.log else float
    low, high = scale(parameter.low), scale(parameter.high)
    return [float((scale(value) - low) / (high - low))]  # type: ignore[arg-type]
