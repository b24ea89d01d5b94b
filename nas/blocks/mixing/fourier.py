"""Fourier mixing: a discrete Fourier transform over tokens and features instead of attention."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, Unpack, get_args

import torch
from torch import Tensor, nn

from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.mixing.transforms import product_transform, real_transform
from nas.errors import check_choice
from nas.masks import PaddingMask, hide_padding, padding_of

Method = Literal["fft", "matmul"]


class FourierMixing(ResidualBlock):
    """The real part of the two-dimensional discrete Fourier transform; nothing is learnt but the norm.

    FNet (Lee-Thorp et al. 2021, arXiv 2105.03824). Differences: the transform is orthonormal, so
    that its size does not grow with T and D (``ortho=False`` is the paper's); padding is 0 before
    the transform (the original ignores the mask). What padding holds reaches no real token, but
    how much padding there is still does: the frequencies are those of the padded length.

    Args:
        hidden_size: D.
        ortho: divide by sqrt(T * D).
        method: ``fft``, or ``matmul``: products with matrices of waves, the same function.
        **composition: see `ResidualBlock`.
    """

    role: ClassVar[Role] = "mixing"
    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask

    def __init__(
        self,
        hidden_size: int,
        *,
        ortho: bool = True,
        method: Method = "fft",
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        self.hidden_size = hidden_size
        check_choice("method", method, get_args(Method))
        self.ortho = ortho
        self.method = method

    def effective_config(self) -> dict[str, Any]:
        """Leave out the method: it changes how, not what."""
        return {k: v for k, v in super().effective_config().items() if k != "method"}

    @property
    def label(self) -> str:
        """Always ``fourier``."""
        return "fourier"

    def mix_flops(self, seq_length: int) -> float:
        """Return a fast transform's ``5 N log2 N`` for N = T D, per token, or the products' cost.

        The first is the customary count; torch's counter does not count Fourier transforms at all.
        """
        if self.method == "matmul":
            return 4.0 * self.hidden_size * (self.hidden_size + seq_length)
        return 5.0 * self.hidden_size * math.log2(seq_length * self.hidden_size)

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used.

        Fast transforms are computed in float32: below it they exist for few sizes.
        """
        return self._transform(hide_padding(data, padding_of(attention_mask)))

    def _transform(self, data: Tensor, *, hartley: bool = False) -> Tensor:
        if self.method == "matmul":
            return product_transform(data, ortho=self.ortho, hartley=hartley).to(data.dtype)
        wide = data.to(torch.promote_types(data.dtype, torch.float32))
        return real_transform(wide, ortho=self.ortho, hartley=hartley).to(data.dtype)
