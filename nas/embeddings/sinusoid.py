"""Fixed position vectors: sines and cosines of falling frequency."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nas.configured import Configured
from nas.errors import InputError, check_positive


class RelativePositionEmbedding(Configured, nn.Module):
    """``sin`` and ``cos`` of ``place / wavelength``, the wavelengths from one scale to the other.

    Vaswani et al. 2017 (arXiv 1706.03762, section 3.5), in the Model Garden's form: all sines, then all
    cosines, and the last wavelength is exactly the greatest. Nothing is learnt, no length is the longest.

    Args:
        hidden_size: D, even and at least 4.
        min_timescale: of the first pair, in tokens per radian.
        max_timescale: of the last.

    Raises:
        InputError: D is odd or less than 4, or a scale is not positive.
    """

    def __init__(
        self, hidden_size: int, *, min_timescale: float = 1.0, max_timescale: float = 10000.0
    ) -> None:
        super().__init__()
        check_positive(min_timescale=min_timescale, max_timescale=max_timescale)
        if hidden_size % 2 or hidden_size < 4:
            raise InputError(f"hidden_size={hidden_size} of sinusoid positions must be even and at least 4")
        self.hidden_size = hidden_size
        self.min_timescale, self.max_timescale = min_timescale, max_timescale

    def forward(self, data: Tensor) -> Tensor:
        """Return the vectors [T, D] in float32 for data [B, T, ...]."""
        return self.at(torch.arange(data.shape[1], device=data.device))

    def of_length(self, tokens: int) -> Tensor:
        """Return the vectors [T, D] in float32 of so many tokens."""
        return self.at(torch.arange(tokens))

    def at(self, places: Tensor) -> Tensor:
        """Return the vectors [..., D] in float32 of any places [...]."""
        half = self.hidden_size // 2
        step = math.log(self.max_timescale / self.min_timescale) / (half - 1)
        index = torch.arange(half, device=places.device, dtype=torch.float32)
        angles = places[..., None].float() * (self.min_timescale * torch.exp(-step * index))
        return torch.cat([angles.sin(), angles.cos()], dim=-1)
