"""Gated long convolution (Hyena): filters as long as the sequence, made by a small network."""

from __future__ import annotations

from typing import ClassVar, Unpack

import torch
from torch import Tensor, nn

from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.mixing.filters import FilterNetwork, convolve, convolve_flops
from nas.blocks.mixing.scan import widen
from nas.blocks.mixing.short_conv import ShortConv
from nas.errors import check_positive
from nas.masks import PaddingMask, hide_padding, padding_of


class LongConv(ResidualBlock):
    """``value = gate * (filter over value)``, ``order`` times; value and gates are projections.

    Hyena (Poli et al. 2023, arXiv 2302.10866). Differences: filters see both sides unless causal;
    they depend on distances in tokens, not on shares of the length, so that padding and longer
    sequences leave them as they are; the short convolution is centred unless causal; short
    sequences are convolved by products, longer ones by Fourier transforms; padding is 0 before
    every filter.

    Args:
        hidden_size: D.
        order: how many filters and gates follow each other.
        reach: the distance at which the farthest-seeing filter has faded to 1 %, in tokens.
        filter_size: the width of the network that makes the filters.
        conv_size: how many tokens the short convolution of the projections spans; 0: none.
        bias: of the projections and the short convolution.
        causal: filters see no later token.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: a size is not positive, or ``conv_size`` is even although centred.
    """

    role: ClassVar[Role] = "mixing"
    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask

    def __init__(
        self,
        hidden_size: int,
        *,
        order: int = 2,
        reach: int = 512,
        filter_size: int = 32,
        conv_size: int = 3,
        bias: bool = False,
        causal: bool = False,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_positive(order=order, reach=reach, filter_size=filter_size)
        self.order, self.hidden_size = order, hidden_size
        features = (order + 1) * hidden_size
        self.input = nn.Linear(hidden_size, features, bias=bias)
        self.conv = ShortConv(features, conv_size, bias=bias, causal=causal) if conv_size else None
        self.filters = FilterNetwork(hidden_size, order, reach, filter_size, causal=causal)
        self.skip = nn.Parameter(torch.ones(order, hidden_size))
        self.output = nn.Linear(hidden_size, hidden_size, bias=bias)

    @property
    def label(self) -> str:
        """Always ``longconv``."""
        return "longconv"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of projections, short convolution and long filters.

        Torch's counter sees products, but no Fourier transforms. The filters are made once for all
        rows: here they are counted for a batch of one.
        """
        products = self.input.in_features * (self.input.out_features + self.output.out_features)
        conv = 0.0 if self.conv is None else self.conv.flops_per_token
        return (
            2.0 * products
            + conv
            + self.filters.flops_per_token
            + self.order * self.hidden_size * convolve_flops(seq_length)
        )

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used."""
        real = padding_of(attention_mask)
        projected = self.input(data)
        if self.conv is not None:
            projected = self.conv(hide_padding(projected, real))
        value, *gates = projected.chunk(self.order + 1, dim=-1)
        filters = self.filters(data.shape[1], widen(data).dtype)
        for gate, its_filter, skip in zip(gates, filters, self.skip, strict=True):
            value = hide_padding(value, real)
            value = gate * (convolve(value, its_filter) + skip.to(value.dtype) * value)
        out: Tensor = self.output(value)
        return out
