"""What turns an encoder's output into predictions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.errors import InputError

GAIN = 4.0


class TokenHead(nn.Module):
    """Scores the vocabulary at chosen positions with the encoder's own embedding table.

    Weight tying after Press and Wolf 2017 (arXiv 1608.05859). Only the chosen positions are
    projected. The table belongs to the encoder: it is neither a parameter of this module nor in
    its state, and is asked for in every call, so that it is the same one after a copy or a move.

    A table narrower than the encoder (ALBERT's, arXiv 1909.11942) is reached through a learnt
    projection, as there; difference: without an activation.

    The norm is there whatever the encoder ends with, so that encoders of pre- and post-norm blocks
    are compared at the same scale; its gain starts at `GAIN`, since a table that starts at a
    standard deviation of 0.02 would otherwise give logits, and gradients, near zero.

    Args:
        encoder: offers ``get_embedding_table() -> Parameter [V, W]``, and ``hidden_size`` (D) if it is
            not W.
        vocab_size: V, how many answers there are.
        prior: [V] how often each answer occurs, if that is known; the bias starts at its logarithm.

    Raises:
        InputError: the encoder's table has another number of rows.
    """

    reads_chosen = True
    """The tokens at other positions are not read: an encoder need not finish them."""

    def __init__(self, encoder: nn.Module, vocab_size: int, prior: Tensor | None = None) -> None:
        super().__init__()
        self._table: Callable[[], Tensor] = encoder.get_embedding_table  # type: ignore[assignment]
        rows, width = self._table().shape
        hidden_size = getattr(encoder, "hidden_size", width)
        if rows != vocab_size:
            raise InputError(f"the encoder's vocab_size={rows} must be the task's: {vocab_size}")
        self.projection = nn.Identity() if hidden_size == width else nn.Linear(hidden_size, width)
        self.norm = nn.LayerNorm(width)
        nn.init.constant_(self.norm.weight, GAIN)
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        if prior is not None:
            with torch.no_grad():
                self.bias.copy_(_log_share(prior))

    def forward(self, sequence_output: Tensor, positions: Tensor | None) -> Tensor:
        """Map sequence_output [B, T, D] and positions [M] to logits [M, V].

        Positions are indices into B * T; None: all of them.
        """
        tokens = sequence_output.flatten(0, 1)
        chosen = tokens if positions is None else tokens.index_select(0, positions)
        return F.linear(self.norm(self.projection(chosen)), self._table(), self.bias)

    @staticmethod
    def flops(hidden_size: int, vocab_size: int) -> float:
        """Return the operations for one chosen position."""
        return 2.0 * hidden_size * vocab_size


def _log_share(counts: Tensor) -> Tensor:
    """Return log((count + 1) / (all + V)): what was never seen stays possible."""
    return torch.log((counts + 1.0) / (counts.sum() + len(counts)))
