"""Sinusoids of the place, added to features."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.blocks.positions.kept import kept
from nas.blocks.positions.scheme import PositionScheme


class Sinusoid(PositionScheme):
    """Adds `sinusoid` to what queries and keys read; values stay without.

    Difference from Vaswani et al. 2017, who add it once, to the embedding.
    """

    adds = True

    def add(self, data: Tensor) -> Tensor:
        """Return [B, T, D] with the places added."""
        return data + places_of(data)


def places_of(data: Tensor, count: int | None = None) -> Tensor:
    """Return `sinusoid` for data [B, T, D] in its dtype: [T, D], or of so many places; not to be changed."""
    return kept(_places, data, data.shape[1] if count is None else count, data.shape[-1])[0]


def _places(tokens: int, hidden_size: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
    return (sinusoid(tokens, hidden_size, device).to(dtype),)


def sinusoid(tokens: int, hidden_size: int, device: torch.device) -> Tensor:
    """Return a vector for each place, [T, D] in float32: sines, then cosines, of falling frequency.

    Vaswani et al. 2017 (arXiv 1706.03762); there, sines and cosines alternate. An odd D has one
    sine more.
    """
    half = (hidden_size + 1) // 2
    frequencies = 10000.0 ** (-torch.arange(half, device=device, dtype=torch.float32) / half)
    angles = torch.arange(tokens, device=device, dtype=torch.float32)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :hidden_size]
