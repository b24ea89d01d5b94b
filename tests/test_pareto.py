"""Fronts, knees and hypervolumes, against plain definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nas import pareto


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


def drawn(count: int, objectives: int, seed: int) -> np.ndarray:
    """Return rows of few different numbers: there are ties and equal rows among them."""
    return np.random.default_rng(seed).integers(0, 6, (count, objectives)).astype(float)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_ranks_are_those_of_peeling_front_after_front(objectives: int, seed: int) -> None:
    values = drawn(40, objectives, seed)
    left, rank, expected = set(range(40)), 0, [0] * 40
    while left:
        members = {i for i in left if not any(dominates(values[j], values[i]) for j in left)}
        for i in members:
            expected[i] = rank
        left, rank = left - members, rank + 1
    assert pareto.ranks(values) == expected
    assert pareto.front(values) == [i for i in range(40) if expected[i] == 0]
    assert sorted(pareto.order(values)) == list(range(40))
    assert [expected[i] for i in pareto.order(values)] == sorted(expected)


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_hypervolume_is_the_share_of_cells_that_are_dominated(objectives: int) -> None:
    values = drawn(12, objectives, 3)
    cells = itertools.product(range(6), repeat=objectives)  # each from (c) to (c + 1)
    covered = sum(any((row <= cell).all() for row in values) for cell in cells)
    assert pareto.hypervolume(values, [6.0] * objectives) == covered
    assert pareto.hypervolume([[7.0] * objectives], [6.0] * objectives) == 0.0
    assert pareto.hypervolume([], [6.0] * objectives) == 0.0


def test_of_one_objective_the_order_is_that_of_its_values() -> None:
    assert pareto.order([[3.0], [1.0], [2.0], [1.0]]) == [1, 3, 2, 0]
    assert pareto.front([[3.0], [1.0], [2.0], [1.0]]) == [1, 3]


def test_within_a_front_the_ends_come_first_and_the_crowded_last() -> None:
    values = [[0.0, 4.0], [1.9, 2.1], [2.0, 2.0], [2.1, 1.9], [4.0, 0.0]]
    assert set(pareto.order(values)[:2]) == {0, 4}
    assert pareto.order(values)[-1] == 2


def test_the_knee_gives_up_least() -> None:
    assert pareto.knee([[0.0, 1000.0], [0.2, 100.0], [0.5, 80.0], [1.0, 0.0]]) == 1
    assert pareto.knee([[5.0, 1.0], [4.0, 2.0]]) == 1  # two ends: the better first objective
    assert pareto.knee([[5.0, 1.0]]) == 0
    assert pareto.knee([[1.0, 1.0, 9.0], [0.0, 9.0, 0.0], [2.0, 2.0, 2.0], [9.0, 0.0, 3.0]]) == 2


def test_the_reference_point_lies_a_tenth_beyond_the_front() -> None:
    assert pareto.reference_point([[0.0, 30.0], [10.0, 10.0]]) == pytest.approx([11.0, 32.0])
    assert pareto.reference_point([[2.0, 5.0]]) == pytest.approx([2.2, 5.5])
    front = [[0.0, 30.0], [10.0, 10.0]]
    assert pareto.hypervolume(front, pareto.reference_point(front)) > 0
    assert pareto.is_dominated([0.0, 31.0], front)
    assert not pareto.is_dominated([0.0, 30.0], front)


def test_ten_thousand_of_two_objectives_take_no_time() -> None:
    values = np.random.default_rng(0).random((2000, 2))
    assert len(pareto.order(values)) == 2000
