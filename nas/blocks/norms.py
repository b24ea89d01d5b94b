"""Normalisation layers that blocks choose by name."""

from __future__ import annotations

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from nas.errors import check_choice

NormType = Literal["layer", "rms"]


class RMSNorm(nn.RMSNorm):
    """RMSNorm (arXiv 1910.07467) that also takes autocast's half precision, and returns it."""

    def forward(self, x: Tensor) -> Tensor:
        """Divide by the root mean square of the last axis; shape and dtype are kept."""
        if x.dtype == self.weight.dtype:
            return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)
        return F.rms_norm(x.to(self.weight.dtype), self.normalized_shape, self.weight, self.eps).to(x.dtype)


def make_norm(norm_type: NormType, hidden_size: int, epsilon: float) -> nn.Module:
    """Return a norm over the last axis: LayerNorm (arXiv 1607.06450) or RMSNorm (arXiv 1910.07467).

    Raises:
        InputError: ``norm_type`` is unknown.
    """
    check_choice("norm_type", norm_type, get_args(NormType))
    if norm_type == "rms":
        return RMSNorm(hidden_size, eps=epsilon)
    return nn.LayerNorm(hidden_size, eps=epsilon)
