"""Noisy in-context recall: as in-context recall, with tokens between the pairs that mean nothing."""

from __future__ import annotations

import numpy as np

from nas.tasks.generated import Rows
from nas.tasks.in_context_recall import pair_mistakes, recall_rows
from nas.tasks.recall import MaskedRecall


class NoisyRecall(MaskedRecall):
    """MAD's noisy in-context recall (Poli et al. 2024, arXiv 2403.17844), masked; see `MaskedRecall`.

    As `nas.tasks.in_context_recall.InContextRecall`, but a share of the pairs is replaced by two
    tokens from a vocabulary of noise.

    Differences: as there; besides, one pair before the last is never noise, so that every row has
    something to recall (there, that pair may be the last one itself). **Scores are not comparable
    with the published causal table.**

    Args:
        vocab_size: V, keys, values and noise; the task's own ``vocab_size`` has the mask token too.
        noise_vocab_size: how many of them are noise.
        noise_rate: share of pairs that are noise, at least 0 and below 1.
        seq_length: T, tokens in a row, even.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: how many rows are evaluated.

    Raises:
        InputError: the settings leave no room for a repeated key; all reasons are named.
    """

    name = "noisy_recall"

    def __init__(
        self,
        vocab_size: int = 32,
        noise_vocab_size: int = 16,
        noise_rate: float = 0.2,
        seq_length: int = 64,
        train_examples: int | None = None,
        validation_examples: int = 1024,
    ) -> None:
        known = vocab_size - noise_vocab_size
        mistakes = [*pair_mistakes(known, seq_length, f" beside task.noise_vocab_size={noise_vocab_size}")]
        if not 0 <= noise_rate < 1:
            mistakes.append(f"task.noise_rate={noise_rate} must be at least 0 and below 1")
        if noise_vocab_size <= 0:
            mistakes.append(f"task.noise_vocab_size={noise_vocab_size} must be greater than 0")
        most = seq_length // 2 - 1  # all pairs but the first
        super().__init__(vocab_size, seq_length, most, train_examples, validation_examples, mistakes)
        self.noise_vocab_size = noise_vocab_size
        self.noise_rate = noise_rate

    def draw(self, rng: np.random.Generator, count: int, split: str) -> Rows:
        """Make rows; all splits are alike."""
        return recall_rows(self, rng, count, self.mask - self.noise_vocab_size, self.noise_rate)
