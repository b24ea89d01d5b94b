"""Text without a corpus: a random Markov chain, masked as real text is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from nas.heads import TokenHead
from nas.progress import Say
from nas.seeding import generator
from nas.tasks.base import Batch, Task
from nas.tasks.epochs import Epochs
from nas.tasks.masking import Ids, choose, hide
from nas.tasks.tokenizers.base import Tokenizer

SUCCESSORS, VALIDATION_ROWS = 4, 64


class MarkovText(Task):
    """Masked modelling of a chain in which every token has four successors, at unequal odds.

    Args:
        vocab_size: V.
        seq_length: T.
        batch_size: the most rows that a step takes.
        mask_rate: share of a row's tokens that is hidden.
    """

    name = "markov"

    def __init__(self, vocab_size: int, seq_length: int, batch_size: int, mask_rate: float = 0.3) -> None:
        self.vocab_size, self.seq_length = vocab_size, seq_length
        self.masked_per_row = max(1, round(mask_rate * seq_length))
        self._rows = _draw(vocab_size, seq_length, 8 * max(batch_size, VALIDATION_ROWS))
        self._epochs = Epochs(len(self._rows) - VALIDATION_ROWS, "rows")

    def prepare(self, cache: Path, say: Say) -> None:
        """Do nothing: the rows are made at construction."""

    def train_batch(self, step: int, batch_size: int, seed: int) -> Batch:
        """Return rows with hidden tokens."""
        rows = self._epochs.rows(step, batch_size, seed) + VALIDATION_ROWS
        return self._batch(self._rows[rows], generator(seed, "mask", step))

    def batches(self, split: str, batch_size: int) -> Iterator[Batch]:
        """Yield rows that training does not see."""
        yield self._batch(self._rows[:VALIDATION_ROWS], generator(0, split))

    def head(self, encoder: nn.Module) -> nn.Module:
        """Return a head that shares the encoder's embedding table."""
        return TokenHead(encoder, self.vocab_size)

    def fingerprint(self) -> dict[str, Any]:
        """Return the settings."""
        return dict(self.config)

    def _batch(self, tokens: Ids, rng: np.random.Generator) -> Batch:
        chosen = choose(tokens, self.masked_per_row, rng)
        hidden = hide(tokens, chosen, "mask", self.vocab_size, rng)
        positions = (chosen + np.arange(len(tokens))[:, None] * self.seq_length).ravel()
        labels = torch.from_numpy(tokens.ravel()[positions])
        return Batch(
            {"input_word_ids": torch.from_numpy(hidden)}, torch.from_numpy(positions), labels, even=True
        )


def _draw(vocab_size: int, seq_length: int, rows: int) -> Ids:
    """Return [rows, T] from one chain, the same in every run."""
    rng = generator(0, "markov", vocab_size)
    first = Tokenizer.specials
    following = rng.integers(first, vocab_size, (vocab_size, SUCCESSORS))
    tokens = np.empty((rows, seq_length), np.int64)
    tokens[:, 0] = rng.integers(first, vocab_size, rows)
    choices = rng.choice(SUCCESSORS, size=(rows, seq_length), p=[0.7, 0.15, 0.1, 0.05])
    for place in range(1, seq_length):
        tokens[:, place] = following[tokens[:, place - 1], choices[:, place]]
    return tokens
