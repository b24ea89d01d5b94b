"""The real part of a two-dimensional Fourier transform of real numbers, at half of its cost."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def real_transform(data: Tensor, *, ortho: bool, hartley: bool = False) -> Tensor:
    """Return ``fft2(data).real``, or with ``hartley`` less the imaginary part, [B, T, D] of [B, T, D].

    Half of the frequencies of real numbers mirror the others and are not computed. Both maps are
    symmetric matrices, so that each is its own gradient (where PyTorch would transform back in full).
    """
    out: Tensor = _RealTransform.apply(data, ortho, hartley)  # type: ignore[no-untyped-call]
    return out


class _RealTransform(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, data: Tensor, ortho: bool, hartley: bool) -> Tensor:
        ctx.settings = (ortho, hartley)
        half = torch.fft.rfft2(data, norm="ortho" if ortho else "backward")
        kept = half.real - half.imag if hartley else half.real
        mirrored = half.real + half.imag if hartley else half.real
        rest = mirrored[..., 1 : (data.shape[-1] + 1) // 2].flip(-1)  # frequency D - d, and below T - t
        rest = torch.cat([rest[..., :1, :], rest[..., 1:, :].flip(-2)], dim=-2)
        return torch.cat([kept, rest], dim=-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _RealTransform.apply(gradients[0], *ctx.settings), None, None  # type: ignore[no-untyped-call]
