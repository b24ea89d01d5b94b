"""Puzzles on a square of cells, read row by row: what `grid` tasks share."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from nas.heads import TokenHead
from nas.seeding import generator
from nas.tasks.base import Batch
from nas.tasks.generated import TRAINING, GeneratedTask, Rows


class GridTask(GeneratedTask):
    """A puzzle whose open cells all ask; their places show one constant token.

    Only what was not given counts in ``accuracy``; ``solved`` is the share of puzzles of which every
    open cell is right. Every cell has a place among the answers, so that shapes are static; given
    ones are `nas.tasks.scoring.IGNORED`.

    Args:
        side: cells in a row of the grid.
        augment: turn puzzles of a fixed training set into others of the same kind whenever they are
            used, by a draw that depends on seed and step.
        train_examples: how many different training puzzles there are; null makes new ones forever.
        validation_examples: how many puzzles are evaluated.

    Raises:
        InputError: a number is not positive.
    """

    name = "grid"
    measures = ("loss", "accuracy", "solved")

    def __init__(
        self, side: int, augment: bool, train_examples: int | None, validation_examples: int
    ) -> None:
        super().__init__(train_examples, validation_examples)
        self.side = side
        self.seq_length = side * side
        self.augment = augment

    @abstractmethod
    def transformed(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Apply a symmetry of the puzzle to each row, drawn for itself."""

    def train_batch(self, step: int, batch_size: int, seed: int) -> Batch:
        """Return ``batch_size`` puzzles.

        Raises:
            InputError: the fixed set is smaller than a batch.
        """
        if self.train_examples is None or not self.augment:
            return super().train_batch(step, batch_size, seed)
        rows = self._fixed(TRAINING).take(self._epochs.rows(step, batch_size, seed))
        return self.batch(self.transformed(rows, generator(seed, "augment", step)))

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the operations of the head: every cell goes through it."""
        return TokenHead.flops(hidden_size, self.vocab_size)

    def every_cell(self, count: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Return the places of the cells of ``count`` rows, [count, T]."""
        return np.tile(np.arange(self.seq_length), (count, 1))
