"""Hartley mixing: a discrete Hartley transform over tokens and features instead of attention."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from nas.blocks.base import Role
from nas.blocks.mixing.fourier import FourierMixing


class HartleyMixing(FourierMixing):
    """The real less the imaginary part of the two-dimensional Fourier transform.

    Sparse Mixers (Lee-Thorp and Ainslie 2022, arXiv 2205.12399). Unlike the real part alone it loses
    nothing: applied twice, an orthonormal one is the identity. Differences as in `FourierMixing`.

    Args:
        hidden_size: D.
        ortho: divide by sqrt(T * D).
        method: see `FourierMixing`.
        **composition: see `ResidualBlock`.
    """

    role: ClassVar[Role] = "mixing"

    @property
    def label(self) -> str:
        """Always ``hartley``."""
        return "hartley"

    def _transform(self, data: Tensor, *, hartley: bool = True) -> Tensor:
        return super()._transform(data, hartley=hartley)
