"""Mazes: the marked way is the only one, found by a search that shares no code with the generator."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.seeding import generator
from nas.tasks.maze import FLOOR, GOAL, OFF_PATH, ON_PATH, START, WALL, Maze
from nas.tasks.scoring import IGNORED


def neighbours(cell: int, side: int) -> list[int]:
    row, column = divmod(cell, side)
    around = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
    return [r * side + c for r, c in around if 0 <= r < side and 0 <= c < side]


def way(tokens: list[int], side: int) -> set[int]:
    """Return the cells of the shortest way from start to goal; fails if the floor has a loop."""
    floor = {cell for cell, token in enumerate(tokens) if token != WALL}
    passages = sum(other in floor for cell in floor for other in neighbours(cell, side))
    assert passages // 2 == len(floor) - 1  # with all of it connected: a tree
    came = {tokens.index(START): -1}
    queue = deque(came)
    while queue:
        cell = queue.popleft()
        for other in neighbours(cell, side):
            if other in floor and other not in came:
                came[other] = cell
                queue.append(other)
    assert came.keys() == floor
    cells, cell = set(), tokens.index(GOAL)
    while cell >= 0:
        cells.add(cell)
        cell = came[cell]
    return cells


def check(tokens: Any, labels: Any, side: int) -> list[int]:
    lengths = []
    for row, right in zip(tokens.tolist(), labels.tolist(), strict=True):
        cells = way(row, side)
        lengths.append(len(cells) - 1)
        for cell, token in enumerate(row):
            expected = (ON_PATH if cell in cells else OFF_PATH) if token == FLOOR else IGNORED
            assert right[cell] == expected
        assert row.count(START) == row.count(GOAL) == 1
    return lengths


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 14), st.integers(0, 2**32))
def test_the_labels_are_the_only_way(side: int, seed: int) -> None:
    task = Maze(side, min_path=2)
    rows = task.draw(generator(seed, "t"), 6, "train")
    check(rows.tokens, rows.labels, side)
    image = task.transformed(rows, generator(seed, "u"))
    check(image.tokens, image.labels, side)


def test_ways_are_long_enough_where_there_are_such(make_task: Any) -> None:
    for name, least in (("grid_maze", 8), ("grid_maze30", 111)):
        rows = make_task(name)._fixed("val")
        lengths = check(rows.tokens[:64], rows.labels[:64], int(rows.tokens.shape[1] ** 0.5))
        assert np.mean(np.array(lengths) >= least) > 0.9


def test_neither_answer_is_rare(make_task: Any) -> None:
    labels = make_task("grid_maze")._fixed("val").labels
    assert 0.35 < (labels == ON_PATH).sum() / (labels != IGNORED).sum() < 0.65


def test_start_and_goal_are_anywhere(make_task: Any) -> None:
    tokens = make_task("grid_maze")._fixed("val").tokens
    for token in (START, GOAL):
        found = (tokens == token).mean(0).reshape(9, 9)
        assert (found[::2, ::2] > 0.01).all()
        assert found[1::2].sum() == found[:, 1::2].sum() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"side": 2}, r"task\.side=2 must be at least 3"),
        ({"side": 5, "min_path": 17}, r"task\.min_path=17 must be between 2 and 16.*task\.side=5"),
        ({"min_path": 0}, r"task\.min_path=0"),
    ],
)
def test_mazes_that_are_too_small(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Maze(**change)
