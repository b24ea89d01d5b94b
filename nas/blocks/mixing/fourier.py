"""Fourier mixing: a discrete Fourier transform over tokens and features instead of attention."""

from __future__ import annotations

import math
from typing import ClassVar, Unpack

import torch
from torch import Tensor, nn

from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.mixing.transforms import real_transform
from nas.masks import PaddingMask, padding_of


class FourierMixing(ResidualBlock):
    """The real part of the two-dimensional discrete Fourier transform; nothing is learnt but the norm.

    FNet (Lee-Thorp et al. 2021, arXiv 2105.03824). Differences: the transform is orthonormal, so
    that its size does not grow with T and D (``ortho=False`` is the paper's); padding is 0 before
    the transform (the original ignores the mask). What padding holds reaches no real token, but
    how much padding there is still does: the frequencies are those of the padded length.

    Args:
        hidden_size: D.
        ortho: divide by sqrt(T * D).
        **composition: see `ResidualBlock`.
    """

    role: ClassVar[Role] = "mixing"
    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask

    def __init__(
        self,
        hidden_size: int,
        *,
        ortho: bool = True,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        self.hidden_size = hidden_size
        self.ortho = ortho

    @property
    def label(self) -> str:
        """Always ``fourier``."""
        return "fourier"

    def mix_flops(self, seq_length: int) -> float:
        """Return a fast transform's ``5 N log2 N`` for N = T D, per token.

        It is the customary count; torch's counter does not count Fourier transforms at all.
        """
        return 5.0 * self.hidden_size * math.log2(seq_length * self.hidden_size)

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used.

        Half precision is computed in float32: fast transforms exist for few sizes below it.
        """
        real = padding_of(attention_mask)
        if real is not None:
            data = data.masked_fill(~real[..., None], 0.0)
        wide = data.to(torch.promote_types(data.dtype, torch.float32))
        return real_transform(wide, ortho=self.ortho).to(data.dtype)
