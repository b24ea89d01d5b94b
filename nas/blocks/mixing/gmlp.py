"""gMLP: a feed-forward network whose gate looks at all places."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from nas.blocks.activations import ActivationName, get_activation
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.mixing.fixed_length import check_length, known_length, leading
from nas.errors import check_positive
from nas.masks import PaddingMask, hide_padding, padding_of


class GatedMLP(ResidualBlock):
    """Widen each token, multiply one half by a learnt mixture of the other half's places, narrow it.

    Liu et al. 2021 (arXiv 2105.08050), the spatial gating unit. Differences: shorter sequences use
    the weights of the first places; padding is 0 where places are mixed; ``causal`` is ours.

    Args:
        hidden_size: D.
        max_seq_length: L, the most tokens; null: a scaffold fills in the embedding's.
        inner_dim: the width of each half; null: ``ratio * D``.
        ratio: used when ``inner_dim`` is null.
        activation: before the halves are split.
        bias: of both projections.
        causal: a token's gate looks at no later place.
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
        inner_dim: int | None = None,
        ratio: float = 2.0,
        activation: ActivationName = "gelu",
        bias: bool = True,
        causal: bool = False,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_positive(ratio=ratio, inner_dim=1 if inner_dim is None else inner_dim)
        self.max_seq_length = known_length("gmlp", max_seq_length)
        self.causal = causal
        inner_dim = inner_dim or max(1, round(ratio * hidden_size))
        self.activation = get_activation(activation)
        self.inner = nn.Linear(hidden_size, 2 * inner_dim, bias=bias)
        self.gate_norm = nn.LayerNorm(inner_dim)
        self.places = nn.Parameter(torch.empty(self.max_seq_length, self.max_seq_length))
        self.places_bias = nn.Parameter(torch.ones(self.max_seq_length))
        self.output = nn.Linear(inner_dim, hidden_size, bias=bias)
        nn.init.uniform_(self.places, -1e-3 / self.max_seq_length, 1e-3 / self.max_seq_length)

    def effective_config(self) -> dict[str, Any]:
        """Name the width that was chosen, however it was said."""
        return {**super().effective_config(), "inner_dim": self.output.in_features, "ratio": None}

    @property
    def label(self) -> str:
        """Always ``gmlp``."""
        return "gmlp"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of both projections and of the mixture of T places."""
        inner_dim = self.output.in_features
        return 2.0 * inner_dim * (3 * self.output.out_features + seq_length)

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used."""
        tokens = data.shape[1]
        check_length("gmlp", tokens, self.max_seq_length)
        value, gate = self.activation(self.inner(data)).chunk(2, dim=-1)
        gate = hide_padding(self.gate_norm(gate), padding_of(attention_mask))
        places = leading(leading(self.places, 0, tokens), 1, tokens)
        if self.causal:
            places = places.tril()
        gate = places @ gate + leading(self.places_bias, 0, tokens)[:, None].to(gate.dtype)
        out: Tensor = self.output(value * gate)
        return out
