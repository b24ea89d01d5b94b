"""Sudoku: each puzzle has one solution, by a solver that shares no code with the one that made it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.seeding import generator
from nas.tasks.base import Batch
from nas.tasks.scoring import IGNORED
from nas.tasks.sudoku import Sudoku
from nas.tasks.sudoku_boards import Boards


@functools.cache
def peers(cell: int, size: int) -> list[int]:
    """Return the other cells of the same row, column or box."""
    box = {4: 2, 9: 3}[size]
    row, column = divmod(cell, size)
    places = ((r, c) for r in range(size) for c in range(size) if (r, c) != (row, column))
    same_box = (row // box, column // box)
    return [r * size + c for r, c in places if r == row or c == column or (r // box, c // box) == same_box]


def allowed(board: list[int], cell: int, size: int) -> set[int]:
    """Return the digits that none of the cell's peers has."""
    return set(range(1, size + 1)) - {board[other] for other in peers(cell, size)}


def solutions(board: list[int], size: int) -> Iterator[list[int]]:
    """Yield every way to fill the cells that are 0, by trying."""
    options = {cell: allowed(board, cell, size) for cell, digit in enumerate(board) if not digit}
    if not options:
        yield board
        return
    cell = min(options, key=lambda c: len(options[c]))
    for digit in options[cell]:
        yield from solutions([*board[:cell], digit, *board[cell + 1 :]], size)


def boards_of(batch: Batch, size: int) -> tuple[Any, Any]:
    """Return the puzzles [B, T] and the boards with the answers filled in."""
    puzzles = batch.inputs["input_word_ids"].numpy()
    labels = batch.labels.view(puzzles.shape).numpy()
    return puzzles, np.where(labels == IGNORED, puzzles, labels)


@pytest.mark.parametrize(
    ("size", "givens", "count"), [(4, 4, 40), (4, 6, 40), (4, 12, 10), (9, 30, 6), (9, 22, 4)]
)
def test_every_puzzle_has_one_solution_and_it_is_the_label(size: Any, givens: int, count: int) -> None:
    task = Sudoku(size, givens, train_examples=None)
    puzzles, filled = boards_of(task.batch(task.draw(generator(0, "t"), count, "val")), size)
    for puzzle, solution in zip(puzzles.tolist(), filled.tolist(), strict=True):
        assert list(solutions(puzzle, size)) == [solution]
    shown = (puzzles > 0).sum(1)
    assert shown.min() >= givens
    assert givens < {4: 6, 9: 24}[size] or (shown == givens).all()


def test_with_few_givens_no_cell_can_be_hidden_any_more() -> None:
    task = Sudoku(4, 4, train_examples=None)
    puzzles, _ = boards_of(task.batch(task.draw(generator(0, "t"), 20, "train")), 4)
    for puzzle in puzzles.tolist():
        given_cells = [cell for cell, digit in enumerate(puzzle) if digit]
        if len(given_cells) > 4:
            hidden = ([*puzzle[:cell], 0, *puzzle[cell + 1 :]] for cell in given_cells)
            assert all(len(list(solutions(board, 4))) > 1 for board in hidden)


def test_all_solved_boards_come_up_and_are_right() -> None:
    made = Boards(2).solved(generator(0, "t"), 8000)
    assert len(np.unique(made, axis=1).T) == 288  # all that there are
    nine = np.bitwise_count(Boards(3).solved(generator(0, "t"), 50) - 1).T + 1
    for board in nine.tolist():
        assert list(solutions(board, 9)) == [board]
        assert all(len(set(board[row * 9 : row * 9 + 9])) == 9 for row in range(9))
        assert all(allowed([*board[:c], 0, *board[c + 1 :]], c, 9) == {board[c]} for c in (0, 40, 80))


def test_solvable_agrees_with_trying() -> None:
    size, rng = 4, np.random.default_rng(0)
    digits = np.where(rng.random((60, 16)) < 0.35, rng.integers(1, 5, (60, 16)), 0)
    boards = np.where(digits.T, 1 << np.maximum(digits.T - 1, 0), 15).astype(np.int16)
    found = Boards(2).solvable(boards)
    for board, says in zip(digits.tolist(), found, strict=True):
        clash = any(
            d not in allowed([*board[:c], 0, *board[c + 1 :]], c, size) for c, d in enumerate(board) if d
        )
        assert says == (not clash and any(solutions(board, size)))
    assert 5 < found.sum() < 55


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([4, 9]), st.integers(0, 2**32))
def test_images_are_puzzles_too(size: Any, seed: int) -> None:
    task = Sudoku(size, 50 if size == 9 else 6, train_examples=None)
    rows = task.draw(generator(seed, "t"), 4, "train")
    image = task.transformed(rows, generator(seed, "u"))
    puzzles, filled = boards_of(task.batch(image), size)
    for puzzle, solution in zip(puzzles.tolist(), filled.tolist(), strict=True):
        assert list(solutions(puzzle, size)) == [solution]
    assert ((image.labels == IGNORED) == (image.tokens > 0)).all()
    assert (np.sort((rows.tokens > 0).sum(1)) == np.sort((image.tokens > 0).sum(1))).all()


def test_augmented_training_never_sees_a_solution_of_validation(make_task: Any) -> None:
    task = make_task("grid")
    (whole,) = task.batches("val", 10**6)
    held_out = {board.tobytes() for board in boards_of(whole, 4)[1].astype(np.int8)}
    seen = np.concatenate([boards_of(task.train_batch(step, 64, 0), 4)[1] for step in range(100)])
    assert 20 < len(held_out) < 60  # about one eighth of 288
    assert not held_out & {board.tobytes() for board in seen.astype(np.int8)}
    assert len(np.unique(seen, axis=0)) == 288 - len(held_out)


def test_images_differ_from_use_to_use(make_task: Any) -> None:
    plain, turned = make_task("grid", augment=False), make_task("grid")
    per_epoch = 2048 // 64
    first, again = plain.train_batch(0, 64, 0), plain.train_batch(per_epoch, 64, 0)
    sets = [{row.numpy().tobytes() for row in b.inputs["input_word_ids"]} for b in (first, again)]
    assert sets[0] != sets[1]
    every = {
        r.numpy().tobytes()
        for s in range(per_epoch)
        for r in plain.train_batch(s, 64, 0).inputs["input_word_ids"]
    }
    images = {
        r.numpy().tobytes() for s in range(8) for r in turned.train_batch(s, 64, 0).inputs["input_word_ids"]
    }
    assert len(images - every) > 0.8 * len(images)


def test_given_cells_do_not_count(make_task: Any) -> None:
    task = make_task("grid")
    batch = task.train_batch(0, 32, 0)
    given_cells = batch.inputs["input_word_ids"].flatten() > 0
    assert torch.equal(given_cells, batch.labels == IGNORED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"givens": 3}, r"task\.givens=3 must be at least 4 and below 16"),
        ({"size": 9, "givens": 16}, r"task\.givens=16 must be at least 17 and below 81"),
        ({"givens": 16}, r"task\.givens=16"),
        ({"size": 5}, r"task\.size=5 is not one of \['4', '9'\]"),
    ],
)
def test_boards_without_a_puzzle(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Sudoku(**change)
