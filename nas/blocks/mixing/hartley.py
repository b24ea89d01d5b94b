"""Hartley mixing: a discrete Hartley transform over tokens and features instead of attention."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from nas.blocks.base import Role
from nas.blocks.mixing.fourier import FourierMixing
from nas.blocks.mixing.transforms import real_transform
from nas.masks import padding_of


class HartleyMixing(FourierMixing):
    """The real less the imaginary part of the two-dimensional Fourier transform.

    Sparse Mixers (Lee-Thorp and Ainslie 2022, arXiv 2205.12399). Unlike the real part alone it loses
    nothing: applied twice, an orthonormal one is the identity. Differences as in `FourierMixing`.

    Args:
        hidden_size: D.
        ortho: divide by sqrt(T * D).
        **composition: see `ResidualBlock`.
    """

    role: ClassVar[Role] = "mixing"

    @property
    def label(self) -> str:
        """Always ``hartley``."""
        return "hartley"

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used."""
        real = padding_of(attention_mask)
        if real is not None:
            data = data.masked_fill(~real[..., None], 0.0)
        wide = data.to(torch.promote_types(data.dtype, torch.float32))
        return real_transform(wide, ortho=self.ortho, hartley=True).to(data.dtype)
