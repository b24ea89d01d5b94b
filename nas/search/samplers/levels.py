"""The values of a parameter that has finitely many, by index."""

from __future__ import annotations

from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


def size(distribution: BaseDistribution) -> int:
    """Return how many values there are; 0: a continuous number."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if distribution.step is None:
        return int(distribution.single())
    return round((distribution.high - distribution.low) / distribution.step) + 1


def at(distribution: BaseDistribution, index: int) -> Any:
    """Return the value at an index."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[index]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return min(distribution.low + index * (distribution.step or 0), distribution.high)


def index_of(distribution: BaseDistribution, value: Any) -> int | None:
    """Return the index of a value; None if the parameter does not have it."""
    if isinstance(distribution, CategoricalDistribution):
        try:
            return int(distribution.to_internal_repr(value))
        except ValueError:  # a choice that an older version of the space had
            return None
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if not distribution.low <= value <= distribution.high:
        return None
    step = distribution.step
    index = round((value - distribution.low) / step) if step else 0
    return index if step is None or abs(distribution.low + index * step - value) < 1e-6 * step else None
