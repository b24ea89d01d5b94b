"""Rank correlations against SciPy's, and what their intervals hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nas.search.correlation import kendall, kendall_within, spearman

STREAM = np.random.default_rng(3)
LEFT = STREAM.normal(size=40).round(1)
RIGHT = (LEFT + STREAM.normal(size=40)).round(1)
"""With ties."""


def test_values_are_those_of_scipy() -> None:
    from scipy import stats  # a second for every worker, if the file began with it

    assert kendall(LEFT.tolist(), RIGHT.tolist()).value == pytest.approx(
        stats.kendalltau(LEFT, RIGHT).statistic
    )
    assert spearman(LEFT.tolist(), RIGHT.tolist()).value == pytest.approx(
        stats.spearmanr(LEFT, RIGHT).statistic
    )


@pytest.mark.parametrize("measure", [kendall, spearman])
def test_intervals_hold_the_truth_of_independent_pairs_about_as_often_as_they_say(measure: object) -> None:
    stream = np.random.default_rng(0)
    drawn = [measure(*stream.normal(size=(2, 12)).tolist()) for _ in range(300)]  # type: ignore[operator]
    held = sum(found.low <= 0 <= found.high for found in drawn)
    assert 0.9 <= held / 300 <= 0.99


def test_few_pairs_have_no_interval_and_equal_ones_no_value() -> None:
    found = kendall([1, 2, 3], [1, 3, 2])
    assert str(found) == "+0.33"
    assert math.isnan(found.low)
    assert str(spearman([1, 1, 1], [1, 2, 3])) == "unknown"
    assert str(kendall(list(range(9)), list(range(9)))) == "+1.00"


def test_within_a_size_only_pairs_of_that_size_count() -> None:
    sizes = [100.0] * 10 + [200.0] * 10
    quality = [*range(10), *range(100, 110)]
    by_size = [1.0] * 10 + [2.0] * 10
    assert kendall(by_size, quality).value > 0.7
    blind, pairs = kendall_within(by_size, quality, sizes)
    assert (math.isnan(blind.value), pairs) == (True, 90)
    seeing, _ = kendall_within(quality, quality, sizes)
    assert seeing.value == pytest.approx(1)
    mirrored = [*range(9, -1, -1), *range(109, 99, -1)]
    assert kendall(mirrored, quality).value > 0
    assert kendall_within(mirrored, quality, sizes)[0].value == pytest.approx(-1)
