"""Selective copying: write down, in order, the tokens that stand scattered among blanks."""

from __future__ import annotations

import numpy as np

from nas.heads import TokenHead
from nas.tasks.generated import GeneratedTask, Ids, Rows


class SelectiveCopy(GeneratedTask):
    """MAD's selective copying (Poli et al. 2024, arXiv 2403.17844).

    ``num_copied`` tokens stand among blanks; each blank is put in front of one of them, drawn
    uniformly. Then comes the copy token, then a blank for each of them, where it is asked for. The
    places that ask show blanks and come last, so rows are the published ones for an encoder too.

    Difference: every blank's place is drawn from the seed (there, from a generator that is not seeded).

    Args:
        vocab_size: V; the last token starts the copy, the one before it is the blank, others are copied.
        seq_length: T, tokens in a row.
        num_copied: tokens to copy.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: how many rows are evaluated.

    Raises:
        InputError: the settings leave nothing to copy, or no room; all reasons are named.
    """

    name = "selective_copy"

    def __init__(
        self,
        vocab_size: int = 16,
        seq_length: int = 64,
        num_copied: int = 8,
        train_examples: int | None = None,
        validation_examples: int = 1024,
    ) -> None:
        mistakes = _mistakes(vocab_size, seq_length, num_copied)
        super().__init__(train_examples, validation_examples, mistakes)
        self.vocab_size = vocab_size
        self.seq_length = seq_length
        self.num_copied = num_copied
        self.copy = vocab_size - 1
        self.blank = vocab_size - 2

    def draw(self, rng: np.random.Generator, count: int, split: str) -> Rows:
        """Make rows; all splits are alike."""
        copied = rng.integers(0, self.blank, (count, self.num_copied))
        answers = self.seq_length - self.num_copied + np.arange(self.num_copied)
        tokens = np.full((count, self.seq_length), self.blank, np.int64)
        np.put_along_axis(tokens, self._places(rng, count), copied, axis=1)
        tokens[:, answers[0] - 1] = self.copy
        return Rows(tokens, np.tile(answers, (count, 1)), copied)

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the operations of projecting the asked tokens, averaged over all tokens."""
        return TokenHead.flops(hidden_size, self.vocab_size) * self.num_copied / self.seq_length

    def _places(self, rng: np.random.Generator, rows: int) -> Ids:
        """Draw where the tokens stand [B, num_copied], ascending."""
        blanks = self.seq_length - 2 * self.num_copied - 1
        before = rng.integers(0, self.num_copied, (rows, blanks))
        flat = (before + self.num_copied * np.arange(rows)[:, None]).ravel()
        counts = np.bincount(flat, minlength=rows * self.num_copied).reshape(rows, -1)
        places: Ids = np.cumsum(counts, axis=1) + np.arange(self.num_copied)
        return places


def _mistakes(vocab_size: int, seq_length: int, num_copied: int) -> list[str]:
    mistakes = []
    if vocab_size < 4:
        mistakes.append(
            f"task.vocab_size={vocab_size} must be at least 4: blank, the copy token and two to copy"
        )
    if num_copied <= 0:
        mistakes.append(f"task.num_copied={num_copied} must be greater than 0")
    if seq_length < 2 * num_copied + 1:
        mistakes.append(
            f"task.seq_length={seq_length} must be at least {2 * num_copied + 1}: each of task.num_copied="
            f"{num_copied} tokens takes two places, the copy token one"
        )
    return mistakes
