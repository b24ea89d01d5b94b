"""A short depthwise convolution over tokens."""

from __future__ import annotations

from typing import ClassVar, Unpack

from torch import Tensor, nn

from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.mixing.short_conv import ShortConv
from nas.masks import PaddingMask, hide_padding, padding_of


class DepthwiseConv(ResidualBlock):
    """Every feature is filtered over its neighbours: project, gate, convolve, project back.

    After the convolution module of LightConv (Wu et al. 2019, arXiv 1901.10430) and ConvBERT
    (Jiang et al. 2020, arXiv 2008.02496). Differences: each feature has its own free weights, not
    softmax-normalised, shared or made from the input; padding is 0 before the convolution, as is
    what lies outside the sequence.

    Args:
        hidden_size: D.
        kernel_size: how many tokens a filter spans; odd if it is centred.
        gate: a gated linear unit before the convolution (twice the input projection).
        bias: of the projections and the convolution.
        causal: a filter ends at its token.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: ``kernel_size`` is not positive, or even although centred.
    """

    role: ClassVar[Role] = "mixing"
    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask

    def __init__(
        self,
        hidden_size: int,
        *,
        kernel_size: int = 7,
        gate: bool = True,
        bias: bool = False,
        causal: bool = False,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        self.input = nn.Linear(hidden_size, hidden_size * (2 if gate else 1), bias=bias)
        self.gate = nn.GLU() if gate else nn.Identity()
        self.conv = ShortConv(hidden_size, kernel_size, bias=bias, causal=causal, key="kernel_size")
        self.output = nn.Linear(hidden_size, hidden_size, bias=bias)

    @property
    def label(self) -> str:
        """Always ``conv``."""
        return "conv"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of both projections and the filters."""
        hidden_size = self.output.in_features
        products = hidden_size * (self.input.out_features + self.output.out_features)
        return 2.0 * products + self.conv.flops_per_token

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used."""
        features = hide_padding(self.gate(self.input(data)), padding_of(attention_mask))
        out: Tensor = self.output(self.conv(features))
        return out
