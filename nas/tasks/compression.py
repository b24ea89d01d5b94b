"""Compression: a row of random tokens is squeezed into one vector, from which each token is read again."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from nas.blocks.positions import sinusoid
from nas.tasks.generated import GeneratedTask, Rows


class Compression(GeneratedTask):
    """MAD's compression (Poli et al. 2024, arXiv 2403.17844).

    A row is T - 1 random tokens and, last, the compression token. Only the encoder's vector of that
    one goes on: `CompressionHead` tells every other token from it and the token's place.

    Difference: the compression token itself is not asked for; there it is, and always right.

    Args:
        vocab_size: V; the last token is the compression token, which is no answer.
        seq_length: T, tokens in a row.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: how many rows are evaluated.

    Raises:
        InputError: the settings leave nothing to tell apart; all reasons are named.
    """

    name = "compression"

    def __init__(
        self,
        vocab_size: int = 16,
        seq_length: int = 16,
        train_examples: int | None = None,
        validation_examples: int = 1024,
    ) -> None:
        super().__init__(train_examples, validation_examples, _mistakes(vocab_size, seq_length))
        self.vocab_size = vocab_size
        self.seq_length = seq_length

    @property
    def num_answers(self) -> int:
        """V - 1: all tokens but the compression token."""
        return self.vocab_size - 1

    def draw(self, rng: np.random.Generator, count: int, split: str) -> Rows:
        """Make rows; all splits are alike."""
        asked = np.tile(np.arange(self.seq_length - 1), (count, 1))
        labels = rng.integers(0, self.num_answers, asked.shape)
        tokens = np.pad(labels, ((0, 0), (0, 1)), constant_values=self.vocab_size - 1)
        return Rows(tokens, asked, labels)

    def head(self, encoder: nn.Module) -> nn.Module:
        """Return a decoder of the last vector; it is not the encoder's table that it answers by."""
        table: Tensor = encoder.get_embedding_table()  # type: ignore[operator]
        return CompressionHead(getattr(encoder, "hidden_size", table.shape[1]), self.num_answers)

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the operations of decoding the tokens that are asked for, averaged over all tokens."""
        decoded = CompressionHead.flops(hidden_size, self.num_answers)
        return decoded * (self.seq_length - 1) / self.seq_length


class CompressionHead(nn.Module):
    """Reads tokens from the row's last vector and their places: no other vector is seen.

    As MAD's decoder: sinusoids of the place are added, then two layers of the encoder's width with
    GELU, and the projection, each after a norm. Differences: LayerNorm for RMSNorm; the vector is
    normalised before the sinusoids are added, so that encoders of pre- and post-norm blocks are
    compared at the same scale; PyTorch's own initialisation.

    Args:
        hidden_size: D, the encoder's width.
        num_answers: C.
    """

    def __init__(self, hidden_size: int, num_answers: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.decoder = nn.Sequential(
            nn.LayerNorm(hidden_size),
            nn.Linear(hidden_size, hidden_size),
            nn.GELU(),
            nn.LayerNorm(hidden_size),
            nn.Linear(hidden_size, hidden_size),
            nn.GELU(),
            nn.LayerNorm(hidden_size),
            nn.Linear(hidden_size, num_answers),
        )

    def forward(self, sequence_output: Tensor, positions: Tensor) -> Tensor:
        """Map sequence_output [B, T, D] and positions [M] (indices into B * T) to logits [M, C]."""
        _, length, hidden_size = sequence_output.shape
        squeezed = self.norm(sequence_output[:, -1])
        places = sinusoid(length, hidden_size, squeezed.device).to(squeezed.dtype)
        logits: Tensor = self.decoder(squeezed[positions // length] + places[positions % length])
        return logits

    @staticmethod
    def flops(hidden_size: int, num_answers: int) -> float:
        """Return the operations for one token."""
        return 2.0 * hidden_size * (2 * hidden_size + num_answers)


def _mistakes(vocab_size: int, seq_length: int) -> list[str]:
    mistakes = []
    if vocab_size < 3:
        mistakes.append(
            f"task.vocab_size={vocab_size} must be at least 3: two tokens to tell apart, and the last"
        )
    if seq_length < 2:
        mistakes.append(f"task.seq_length={seq_length} must be at least 2: a token, and the last")
    return mistakes
