"""Rotary position embedding (Su et al. 2021, arXiv 2104.09864)."""

from __future__ import annotations

import torch
from torch import Tensor


def rotate(*heads: Tensor, theta: float) -> tuple[Tensor, ...]:
    """Turn each feature pair of token t by the angle ``t * theta ** (-2i / K)``.

    Scores of rotated queries and keys depend on their distance alone. Difference from the paper:
    feature i is paired with i + K/2 (as in GPT-NeoX and ModernBERT), not 2i with 2i + 1; the two
    differ by a fixed order of the features. Nothing is stored, so that no length is the longest.

    Args:
        *heads: tensors [B, H, T, K] of equal T and even K; each keeps its dtype.
        theta: the base; larger ones turn slower, for longer sequences.
    """
    tokens, head_size = heads[0].shape[-2:]
    device = heads[0].device
    exponents = torch.arange(0, head_size, 2, device=device, dtype=torch.float32) / head_size
    angles = torch.arange(tokens, device=device, dtype=torch.float32)[:, None] * theta**-exponents
    cos, sin = angles.cos(), angles.sin()
    return tuple(_rotate(x, cos, sin) for x in heads)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return turned.to(x.dtype)
