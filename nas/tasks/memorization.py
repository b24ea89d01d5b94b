"""Memorization: a dictionary that is in no row, so that it must be kept in the weights."""

from __future__ import annotations

import numpy as np

from nas.heads import TokenHead
from nas.seeding import generator
from nas.tasks.generated import GeneratedTask, Rows


class Memorization(GeneratedTask):
    """MAD's memorization (Poli et al. 2024, arXiv 2403.17844).

    A row is a series of a key, drawn uniformly, and the mask token, where the key's value is asked
    for. Each key has one value of its own, the same in all rows, which are never shown. The
    dictionary depends on ``vocab_size`` alone: neither on the run's seed nor on the other settings.
    So new rows are no other distribution: what counts is what the weights hold. With the published
    sizes and D 64, one attention or convolution without a feed-forward learns it in 80 steps, since
    the embedding holds it; Fourier mixing does not, for lack of a look at the token before.

    Args:
        vocab_size: V; the last token asks, the lower half of the others are keys, the upper half values.
        seq_length: T, tokens in a row, even.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: how many rows are evaluated.

    Raises:
        InputError: the settings leave no keys, or a row ends within a pair; all reasons are named.
    """

    name = "memorization"

    def __init__(
        self,
        vocab_size: int = 256,
        seq_length: int = 32,
        train_examples: int | None = 256,
        validation_examples: int = 256,
    ) -> None:
        super().__init__(train_examples, validation_examples, _mistakes(vocab_size, seq_length))
        self.vocab_size = vocab_size
        self.seq_length = seq_length
        self.mask = vocab_size - 1
        self.num_keys = self.mask // 2
        values = generator(0, self.name, "dictionary", vocab_size).permutation(self.mask - self.num_keys)
        self.dictionary = self.num_keys + values[: self.num_keys]

    def draw(self, rng: np.random.Generator, count: int, split: str) -> Rows:
        """Make rows; all splits are alike."""
        keys = rng.integers(0, self.num_keys, (count, self.seq_length // 2))
        tokens = np.full((count, self.seq_length), self.mask, np.int64)
        tokens[:, 0::2] = keys
        asked = np.tile(np.arange(1, self.seq_length, 2), (count, 1))
        return Rows(tokens, asked, self.dictionary[keys])

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the operations of projecting the asked tokens, averaged over all tokens."""
        return TokenHead.flops(hidden_size, self.vocab_size) / 2


def _mistakes(vocab_size: int, seq_length: int) -> list[str]:
    mistakes = []
    if vocab_size < 5:
        mistakes.append(
            f"task.vocab_size={vocab_size} must be at least 5: two keys, two values and the token that asks"
        )
    if seq_length <= 0 or seq_length % 2:
        mistakes.append(f"task.seq_length={seq_length} must be even and positive: a pair takes two tokens")
    return mistakes
