"""The real part of a two-dimensional Fourier transform of real numbers, at half of its cost."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


def real_transform(data: Tensor, *, ortho: bool, hartley: bool = False) -> Tensor:
    """Return ``fft2(data).real``, or with ``hartley`` less the imaginary part, [B, T, D] of [B, T, D].

    Half of the frequencies of real numbers mirror the others and are not computed. Both maps are
    symmetric matrices, so that each is its own gradient (where PyTorch would transform back in full).
    """
    if torch.compiler.is_compiling():  # graphs take neither a gradient of one's own nor the flips for any T
        whole = torch.fft.fft2(data, norm="ortho" if ortho else "backward")
        kept: Tensor = whole.real - whole.imag if hartley else whole.real
        return kept
    out: Tensor = _RealTransform.apply(data, ortho, hartley)  # type: ignore[no-untyped-call]
    return out


def _mirrored(data: Tensor, ortho: bool, hartley: bool) -> Tensor:
    """Transform to half of the frequencies, and put the other half beside them."""
    half = torch.fft.rfft2(data, norm="ortho" if ortho else "backward")
    kept = half.real - half.imag if hartley else half.real
    mirrored = half.real + half.imag if hartley else half.real
    rest = mirrored[..., 1 : (data.shape[-1] + 1) // 2].flip(-1)  # frequency D - d, and below T - t
    rest = torch.cat([rest[..., :1, :], rest[..., 1:, :].flip(-2)], dim=-2)
    return torch.cat([kept, rest], dim=-1)


def product_transform(data: Tensor, *, ortho: bool, hartley: bool = False) -> Tensor:
    """Return the same as `real_transform`, by products with matrices of cosines and sines.

    Products have fast kernels in half precision and for every T and D; transforms cost less in theory.
    """
    cos_t, sin_t = _waves(data.shape[-2], data)
    cos_d, sin_d = _waves(data.shape[-1], data)
    with_cos, with_sin = data @ cos_d, data @ sin_d
    if hartley:
        with_cos, with_sin = with_cos + with_sin, with_sin - with_cos
    mixed = cos_t @ with_cos - sin_t @ with_sin
    return mixed / math.sqrt(data.shape[-2] * data.shape[-1]) if ortho else mixed


def _waves(size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of all frequencies at all places, [N, N] in the dtype of ``like``."""
    places = torch.arange(size, device=like.device)
    turns = (places[:, None] * places).remainder(size)  # exact: large angles would lose digits
    angles = turns.to(torch.promote_types(like.dtype, torch.float32)) * (2 * math.pi / size)
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


class _RealTransform(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, data: Tensor, ortho: bool, hartley: bool) -> Tensor:
        ctx.settings = (ortho, hartley)
        return _mirrored(data, ortho, hartley)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _RealTransform.apply(gradients[0], *ctx.settings), None, None  # type: ignore[no-untyped-call]
