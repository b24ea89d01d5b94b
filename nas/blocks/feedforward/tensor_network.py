"""The tensor-network feed-forward network: expand and condense pieces of a token with shared weights."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from nas.blocks.activations import Activation, ActivationName, get_activation
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.growth import weights_of
from nas.errors import InputError, check_positive, check_probability

LARGEST_PIECE = 128
"""What the Model Garden cuts every token into."""


class TensorNetworkFeedforward(ResidualBlock):
    """Mix a token, cut it into pieces, send each through one shared small network, mix again.

    The Model Garden's ``TNExpandCondense`` (TN-BERT; tensor networks after Novikov et al. 2015, arXiv
    1509.06569). Differences: pieces may have any size that divides D (there 128), the expansion may
    be any number (there 2 to 12, even), and ``rank`` factorises the two mixing products, which are
    the larger part of the weights there; the bias may be left out.

    Args:
        hidden_size: D.
        piece_size: P, divides D; null: the largest divisor below D that is at most 128.
        ratio: each piece is widened to ``ratio * P``.
        rank: of the products before the cut and after; null: full D x D matrices.
        activation: between expanding and condensing.
        bias: added before the activation, each piece its own.
        inner_dropout: applied after the activation.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: a size is not positive or does not divide, or the activation is unknown.
    """

    role: ClassVar[Role] = "feedforward"

    def __init__(
        self,
        hidden_size: int,
        *,
        piece_size: int | None = None,
        ratio: float = 4.0,
        rank: int | None = None,
        activation: ActivationName = "gelu",
        bias: bool = True,
        inner_dropout: float = 0.0,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        given = {"piece_size": piece_size, "rank": rank}
        check_positive(ratio=ratio, **{key: value for key, value in given.items() if value is not None})
        check_probability(inner_dropout=inner_dropout)
        piece_size = piece_size or _piece_of(hidden_size)
        if hidden_size % piece_size:
            raise InputError(f"piece_size={piece_size} must divide hidden_size={hidden_size}")
        inner_dim = max(1, round(ratio * piece_size))
        self.activation: Activation = get_activation(activation)
        self.piece_size = piece_size
        self.before = _product(hidden_size, rank)
        self.expand = nn.Linear(piece_size, inner_dim, bias=False)
        pieces = hidden_size // piece_size
        self.inner_bias = nn.Parameter(torch.zeros(pieces, inner_dim)) if bias else None
        self.inner_dropout = nn.Dropout(inner_dropout)
        self.condense = nn.Linear(inner_dim, piece_size, bias=False)
        self.after = _product(hidden_size, rank)
        self._flops = 4.0 * hidden_size * (2 * rank if rank else hidden_size) + 4.0 * hidden_size * inner_dim

    def effective_config(self) -> dict[str, Any]:
        """Name the size of the pieces that was chosen."""
        return {**super().effective_config(), "piece_size": self.piece_size}

    @property
    def label(self) -> str:
        """Always ``tn``."""
        return "tn"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of the four products."""
        return self._flops

    def last_weights(self) -> list[Tensor]:
        """Return those of the last product."""
        *_, last = (module for module in self.after.modules() if isinstance(module, nn.Linear))
        return weights_of(last)

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Any) -> Tensor:
        """Map [B, T, D] to [B, T, D], each token by itself; the mask is not needed."""
        pieces = self.before(data).unflatten(-1, (-1, self.piece_size))
        inner = self.expand(pieces)
        if self.inner_bias is not None:
            inner = inner + self.inner_bias.to(inner.dtype)
        inner = self.inner_dropout(self.activation(inner))
        out: Tensor = self.after(self.condense(inner).flatten(-2))
        return out


def _piece_of(hidden_size: int) -> int:
    """Return the largest divisor of D below D and not above `LARGEST_PIECE`."""
    below = range(min(hidden_size - 1, LARGEST_PIECE), 0, -1)
    return next((size for size in below if hidden_size % size == 0), 1)


def _product(hidden_size: int, rank: int | None) -> nn.Module:
    """Return a product D to D, of full rank or through ``rank`` features."""
    if rank is None:
        return nn.Linear(hidden_size, hidden_size, bias=False)
    first = nn.Linear(hidden_size, rank, bias=False)
    return nn.Sequential(first, nn.Linear(rank, hidden_size, bias=False))
