"""Rotary position embedding: queries and keys are turned by an angle that grows with their place."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.blocks.positions.kept import kept
from nas.blocks.positions.scheme import PositionScheme
from nas.errors import InputError, check_positive


class RoPE(PositionScheme):
    """Turns queries and keys, so that their product depends on their distance (see `rotate`).

    Args:
        head_size: K.
        theta: the base of the angles.

    Raises:
        InputError: K is odd, or theta is not positive.
    """

    turns = True

    def __init__(self, head_size: int, theta: float) -> None:
        super().__init__()
        check_positive(rope_theta=theta)
        if head_size % 2:
            raise InputError(
                f"position='rope' turns pairs of features, so head_size={head_size} must be even"
            )
        self.theta = theta

    def turn(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Return both turned; shapes as in `PositionScheme`."""
        if query.shape[-2] == key.shape[-2]:
            query, key = rotate(query, key, theta=self.theta)
            return query, key
        return rotate(query, theta=self.theta)[0], rotate(key, theta=self.theta)[0]


def rotate(*heads: Tensor, theta: float) -> tuple[Tensor, ...]:
    """Turn each feature pair of token t by the angle ``t * theta ** (-2i / K)``.

    Su et al. 2021 (arXiv 2104.09864). Scores of rotated queries and keys depend on their distance
    alone. Difference from the paper: feature i is paired with i + K/2 (as in GPT-NeoX and
    ModernBERT), not 2i with 2i + 1; the two differ by a fixed order of the features. No length is
    the longest.

    Args:
        *heads: tensors [B, H, T, K] of equal T and even K; each keeps its dtype, and is turned in it.
        theta: the base; larger ones turn slower, for longer sequences.
    """
    tokens, head_size = heads[0].shape[-2:]
    cos, sin = kept(_turns, heads[0], tokens, head_size, theta)
    return tuple(_rotate(x, cos.to(x.dtype), sin.to(x.dtype)) for x in heads)


def _turns(
    tokens: int, head_size: int, theta: float, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return cosines and sines [T, K] of the angles; the first half of the sines is negative."""
    exponents = torch.arange(0, head_size, 2, device=device, dtype=torch.float32) / head_size
    angles = torch.arange(tokens, device=device, dtype=torch.float32)[:, None] * theta**-exponents
    cos, sin = torch.cat([angles, angles], dim=-1).cos(), torch.cat([-angles, angles], dim=-1).sin()
    return cos.to(dtype), sin.to(dtype)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return [B, H, T, K]; rolling the features by half, rather than cutting, saves half of the time."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin)
