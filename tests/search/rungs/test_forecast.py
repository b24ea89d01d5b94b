"""Forecasts of learning curves: right where curves are alike, wide where they are not, none on little."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nas.search.rungs.forecast import SPARE, forecast


def curves(count: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return values at two rungs, and ends, of curves that fall at different rates to different levels."""
    rng = np.random.default_rng(seed)
    floor, height = rng.uniform(2, 3, count), rng.uniform(1, 2, count)
    seen = floor[:, None] + height[:, None] * np.array([0.5, 0.25])
    return seen, floor + rng.normal(0, noise, count)


def test_nothing_is_told_before_there_is_enough() -> None:
    seen, ends = curves(30, 0.0)
    assert forecast(seen[0], [], []) is None
    assert forecast(seen[0], seen[: SPARE + 2].tolist(), ends[: SPARE + 2].tolist()) is None
    assert forecast(seen[0], seen[: SPARE + 3].tolist(), ends[: SPARE + 3].tolist()) is not None
    assert forecast(seen[0, :1], seen[: SPARE + 2, :1].tolist(), ends[: SPARE + 2].tolist()) is not None


def test_curves_of_one_law_are_told_exactly() -> None:
    seen, ends = curves(30, 0.0)
    told = forecast(seen[0], seen[1:].tolist(), ends[1:].tolist())
    assert told is not None
    assert told.mean == pytest.approx(ends[0], abs=1e-9)
    assert told.deviation < 1e-9


def test_the_deviation_is_honest() -> None:
    """Of ends drawn anew, as many lie beyond a bound as it says."""
    beyond = []
    for seed in range(400):
        seen, ends = curves(16, 0.1, seed)
        told = forecast(seen[0], seen[1:].tolist(), ends[1:].tolist())
        assert told is not None
        beyond.append(ends[0] < told.bound(0.05, 1))
    assert 0.02 <= np.mean(beyond) <= 0.08


def test_a_bound_lies_on_the_better_side() -> None:
    seen, ends = curves(30, 0.1)
    told = forecast(seen[0], seen[1:].tolist(), ends[1:].tolist())
    assert told is not None
    assert told.bound(0.05, 1) < told.mean < told.bound(0.05, -1)
    assert told.bound(0.5, 1) == pytest.approx(told.mean)


def test_equal_values_at_a_rung_are_no_hindrance() -> None:
    told = forecast([1.0], [[1.0]] * 9, [2.0] * 8 + [3.0])
    assert told is not None
    assert math.isfinite(told.deviation)
    assert told.mean == pytest.approx(19 / 9)
