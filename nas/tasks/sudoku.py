"""Sudoku: fill the blank cells of a board of 4 x 4 or 9 x 9 that has exactly one solution."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from nas.errors import InputError, check_choice
from nas.tasks.generated import TRAINING, Ids, Rows
from nas.tasks.grid import GridTask
from nas.tasks.scoring import IGNORED
from nas.tasks.sudoku_boards import Bits, Boards

Size = Literal[4, 9]
BLANK = 0
FEWEST = {4: 4, 9: 17}
"""Given cells without which no solution is unique (for 9 x 9: McGuire et al. 2014, arXiv 1201.0749)."""
HELD_OUT = 8  # one solved board in so many is for validation alone


class Sudoku(GridTask):
    """Sudoku as rows of cells: 0 for a blank one, else its digit.

    The task of the Hierarchical and the Tiny Recursive Model (Wang et al. 2025, arXiv 2506.21734;
    Jolicoeur-Martineau 2025, arXiv 2510.04871), which train on 1,000 puzzles and their symmetric
    images. Differences: puzzles are made here, from random solved boards by hiding cells in random
    order while the solution stays unique, not taken from collections of hard ones; given cells are
    not scored. Many of 9 x 9 with few given cells can still not be solved by excluding digits alone.

    The symmetries: another name for each digit, rows within a band, bands, columns and stacks
    likewise, and the transposed board. A hash of the solved board decides between training and
    validation, so no solution of a validation puzzle is ever trained on, not as an image either.
    There are only 288 boards of 4 x 4, so that size shows how fast the rules are learned.

    Args:
        size: 4 or 9, digits.
        givens: cells to show; puzzles that are unique no longer with so few show more.
        augment: use symmetric images of the training puzzles.
        train_examples: how many different training puzzles there are; null makes new ones forever
            (slow for 9 x 9).
        validation_examples: how many puzzles are evaluated.

    Raises:
        InputError: ``givens`` is too small for a unique solution, or leaves nothing to fill.
    """

    def __init__(
        self,
        size: Size = 4,
        givens: int = 6,
        augment: bool = True,
        train_examples: int | None = 4096,
        validation_examples: int = 1024,
    ) -> None:
        check_choice("task.size", size, get_args(Size))
        if not FEWEST[size] <= givens < size * size:
            raise InputError(
                f"task.givens={givens} must be at least {FEWEST[size]} and below {size * size}: no board of "
                f"{size} x {size} with fewer given cells has a unique solution"
            )
        super().__init__(size, augment, train_examples, validation_examples)
        self.size = size
        self.givens = givens
        self.vocab_size = size + 1
        self._boards = Boards({4: 2, 9: 3}[size])

    def draw(self, rng: np.random.Generator, count: int, split: str) -> Rows:
        """Make puzzles; those of training and of validation are different ones."""
        solutions = np.zeros((self.seq_length, 0), np.int16)
        while (missing := count - solutions.shape[1]) > 0:
            more = self._boards.solved(rng, missing if split == TRAINING else missing * HELD_OUT)
            wanted = self._held_out(_digits(more)) != (split == TRAINING)
            solutions = np.concatenate([solutions, more[:, wanted][:, :missing]], axis=1)
        shown = self._boards.puzzles(rng, solutions, self.givens).T
        tokens = np.where(shown, _digits(solutions), BLANK)
        return Rows(tokens, self.every_cell(count), np.where(shown, IGNORED, _digits(solutions)))

    def transformed(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Apply a random symmetry to each puzzle; an image that is held out is not used."""
        count = len(rows.tokens)
        places, names = self._lines(rng, count), self._names(rng, count)
        tokens = np.take_along_axis(names, np.take_along_axis(rows.tokens, places, 1).astype(np.int64), 1)
        labels = np.take_along_axis(rows.labels, places, 1).astype(np.int64)
        labels = np.where(labels == IGNORED, IGNORED, np.take_along_axis(names, np.maximum(labels, 0), 1))
        keep = self._held_out(np.where(labels == IGNORED, tokens, labels))[:, None]
        return Rows(np.where(keep, rows.tokens, tokens), rows.asked, np.where(keep, rows.labels, labels))

    def _held_out(self, solutions: Ids) -> Ids:
        """Tell which solved boards [B, T] belong to validation, by a hash [B]."""
        powers = np.cumprod(np.full(self.seq_length, 0x9E3779B97F4A7C15, np.uint64))
        mixed = (solutions.astype(np.uint64) * powers).sum(1)
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        held_out: Ids = (mixed >> np.uint64(32)) % np.uint64(HELD_OUT) == 0
        return held_out

    def _names(self, rng: np.random.Generator, count: int) -> Ids:
        """Draw a new name for each digit [count, V]; blank stays blank."""
        digits = rng.permuted(np.tile(np.arange(1, self.size + 1), (count, 1)), axis=1)
        return np.concatenate([np.zeros((count, 1), np.int64), digits], axis=1)

    def _lines(self, rng: np.random.Generator, count: int) -> Ids:
        """Draw where each cell of the image comes from [count, T]."""
        rows, columns = self._permuted(rng, count), self._permuted(rng, count)
        places = rows[:, :, None] * self.size + columns[:, None, :]
        turned = rng.random(count) < 0.5
        places = np.where(turned[:, None, None], places.transpose(0, 2, 1), places)
        return places.reshape(count, self.seq_length)

    def _permuted(self, rng: np.random.Generator, count: int) -> Ids:
        """Draw an order of the lines in which those of a band stay together [count, size]."""
        box = self._boards.box
        bands = rng.permuted(np.tile(np.arange(box), (count, 1)), axis=1)
        within = rng.permuted(np.tile(np.arange(box), (count, box, 1)), axis=2)
        lines: Ids = (bands[:, :, None] * box + within).reshape(count, self.size)
        return lines


def _digits(solutions: Bits) -> Ids:
    """Return solved boards [C, N] as digits [N, C]: bit d stands for digit d + 1."""
    digits: Ids = np.bitwise_count(solutions - 1).astype(np.int64).T + 1
    return digits
