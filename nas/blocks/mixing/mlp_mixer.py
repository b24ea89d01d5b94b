"""The token-mixing network of MLP-Mixer: a feed-forward network across places."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.activations import ActivationName, get_activation
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.mixing.fixed_length import check_length, known_length, leading
from nas.errors import check_positive
from nas.masks import PaddingMask, hide_padding, padding_of


class MLPMixer(ResidualBlock):
    """Every feature's values at all places go through one small network, the same for all features.

    Tolstikhin et al. 2021 (arXiv 2105.01601), the token-mixing half; with ``gate`` and ``silu`` it
    is what the Tiny Recursive Model uses for Sudoku (Jolicoeur-Martineau 2025, arXiv 2510.04871).
    Differences: shorter sequences use the weights of the first places; padding is 0.

    Args:
        hidden_size: D.
        max_seq_length: L, the most tokens; null: a scaffold fills in the embedding's.
        expansion: the width in between is ``expansion * L``.
        activation: of the width in between.
        gate: multiply it by a second projection (a gated linear unit).
        bias: of both projections.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: a size is missing or not positive, or data has more tokens than L.
    """

    role: ClassVar[Role] = "mixing"
    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask

    def __init__(
        self,
        hidden_size: int,
        *,
        max_seq_length: int | None = None,
        expansion: float = 2.0,
        activation: ActivationName = "gelu",
        gate: bool = False,
        bias: bool = True,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_positive(expansion=expansion)
        self.max_seq_length = known_length("mlp_mixer", max_seq_length)
        self.hidden_size = hidden_size
        self.width = max(1, round(expansion * self.max_seq_length))
        self.activation = get_activation(activation)
        self.inner = nn.Linear(self.max_seq_length, self.width * (2 if gate else 1), bias=bias)
        self.output = nn.Linear(self.width, self.max_seq_length, bias=bias)

    def effective_config(self) -> dict[str, Any]:
        """Name the width in between as it was rounded."""
        return {**super().effective_config(), "expansion": self.width / self.max_seq_length}

    @property
    def label(self) -> str:
        """Always ``mixer``."""
        return "mixer"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of the products: for each feature of a token, one row of every weight."""
        return 2.0 * self.hidden_size * (self.inner.out_features + self.output.in_features)

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used."""
        tokens = data.shape[1]
        check_length("mlp_mixer", tokens, self.max_seq_length)
        features = hide_padding(data, padding_of(attention_mask)).transpose(1, 2)
        inner = F.linear(features, leading(self.inner.weight, 1, tokens), self.inner.bias)
        first, *second = torch.split(inner, self.width, dim=-1)
        inner = self.activation(first)
        if second:
            inner = inner * second[0]
        bias = None if self.output.bias is None else leading(self.output.bias, 0, tokens)
        return F.linear(inner, leading(self.output.weight, 0, tokens), bias).transpose(1, 2)
