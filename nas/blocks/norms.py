"""Normalisation layers that blocks choose by name."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.errors import check_choice

NormType = Literal["layer", "rms", "dyt"]


class RMSNorm(nn.RMSNorm):
    """RMSNorm (arXiv 1910.07467) that also takes autocast's half precision, and returns it."""

    def forward(self, x: Tensor) -> Tensor:
        """Divide by the root mean square of the last axis; shape and dtype are kept."""
        if x.dtype == self.weight.dtype:
            return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)
        return F.rms_norm(x.to(self.weight.dtype), self.normalized_shape, self.weight, self.eps).to(x.dtype)


class DynamicTanh(nn.Module):
    """``weight * tanh(alpha * x) + bias`` in place of a norm (Zhu et al. 2025, arXiv 2503.10622)."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor([0.5]))
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, x: Tensor) -> Tensor:
        """Squash each feature by itself; shape and dtype are kept."""
        return (torch.tanh(self.alpha * x) * self.weight + self.bias).to(x.dtype)


def make_norm(norm_type: NormType, hidden_size: int, epsilon: float) -> nn.Module:
    """Return a norm over the last axis: LayerNorm (arXiv 1607.06450), RMSNorm (arXiv 1910.07467) or DyT.

    Raises:
        InputError: ``norm_type`` is unknown.
    """
    check_choice("norm_type", norm_type, get_args(NormType))
    if norm_type == "rms":
        return RMSNorm(hidden_size, eps=epsilon)
    if norm_type == "dyt":
        return DynamicTanh(hidden_size)
    return nn.LayerNorm(hidden_size, eps=epsilon)
