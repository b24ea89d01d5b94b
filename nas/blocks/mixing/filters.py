"""Filters over whole sequences: a network that makes them, and how they are applied."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.mixing.scan import full_precision, widen

PRODUCTS_UP_TO = 256
"""Sequences of so many tokens are convolved by products."""
WAVES = 8
"""Pairs of sine and cosine that tell the network a distance."""


class FilterNetwork(nn.Module):
    """Make a filter for each feature from distances: waves, two sine layers, a fading window.

    Poli et al. 2023 (arXiv 2302.10866), section 3.3. Differences: distances are in tokens, with
    wavelengths from 4 tokens to ``4 * reach``; windows fade to 1 % at 8 tokens to ``reach``, and a
    slowly fading one is lower, so that every filter starts with about the same norm.

    Args:
        features: D, filters of each set.
        sets: how many sets of filters.
        reach: where the slowest window has faded to 1 %, in tokens.
        width: of the sine layers.
        causal: filters are 0 for later tokens.
    """

    def __init__(self, features: int, sets: int, reach: int, width: int, *, causal: bool) -> None:
        super().__init__()
        self.features, self.sets, self.reach, self.causal = features, sets, reach, causal
        self.first = nn.Linear(2 * WAVES + 1, width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, sets * features, bias=False)

    @property
    def flops_per_token(self) -> float:
        """Return the cost of the network, for the 2 T distances of T tokens."""
        return 4.0 * sum(m.in_features * m.out_features for m in (self.first, self.second, self.last))

    def forward(self, tokens: int, dtype: torch.dtype) -> Tensor:
        """Return filters [sets, D, 2 T]: for distances 0 to T - 1, then -T to -1 (later tokens)."""
        device = self.first.weight.device
        places = torch.arange(2 * tokens, device=device)
        distances = torch.where(places < tokens, places, places - 2 * tokens).to(dtype)
        with full_precision(device):
            hidden = self._waves(distances)
            for layer in (self.first, self.second):
                hidden = torch.sin(10 * _linear(layer, hidden))
            filters = torch.unflatten(_linear(self.last, hidden).T, 0, (self.sets, self.features))
            windowed: Tensor = filters * self._window(distances)
        return windowed.masked_fill(distances < 0, 0.0) if self.causal else windowed

    def _waves(self, distances: Tensor) -> Tensor:
        """Return [2 T, 2 W + 1]: the distance itself (over the reach), sines and cosines."""
        steps = torch.linspace(0, 1, WAVES, device=distances.device, dtype=distances.dtype)
        lengths = 4.0 * float(self.reach) ** steps
        angles = 2 * math.pi * distances[:, None] / lengths
        return torch.cat([distances[:, None] / self.reach, angles.sin(), angles.cos()], dim=-1)

    def _window(self, distances: Tensor) -> Tensor:
        """Return [D, 2 T]: exponentials of the distance, from fast to slow."""
        steps = torch.linspace(0, 1, self.features, device=distances.device, dtype=distances.dtype)
        shortest = min(8.0, float(self.reach))
        rate = math.log(100) / (shortest * (self.reach / shortest) ** steps)[:, None]
        window: Tensor = rate.sqrt() * torch.exp(-rate * distances.abs())
        return window


def convolve(data: Tensor, filters: Tensor) -> Tensor:
    """Return ``sum over s of filter[t - s] * data[s]`` for every feature.

    Shapes: data [B, T, D]; filters [D, 2 T] in `FilterNetwork`'s order; returns data's shape and dtype.
    """
    if torch.compiler.is_exporting() or data.shape[1] > PRODUCTS_UP_TO:
        return convolve_fourier(data, filters)
    return convolve_products(data, filters)


def convolve_fourier(data: Tensor, filters: Tensor) -> Tensor:
    """Convolve by Fourier transforms of length 2 T: the zeros behind the data let nothing wrap around."""
    tokens = data.shape[1]
    signal = torch.fft.rfft(widen(data).transpose(1, 2), n=2 * tokens)
    mixed: Tensor = torch.fft.irfft(signal * torch.fft.rfft(filters), n=2 * tokens)[..., :tokens]
    return mixed.transpose(1, 2).to(data.dtype)


def convolve_products(data: Tensor, filters: Tensor) -> Tensor:
    """Convolve by one product with a [T, T] matrix for each feature."""
    tokens = data.shape[1]
    ascending = torch.cat([filters[:, tokens + 1 :], filters[:, :tokens]], dim=1)  # -(T - 1) to T - 1
    matrices = ascending.unfold(1, tokens, 1)  # [D, T, T]: [t, i] holds the distance t + i - (T - 1)
    signal = data.flip(1).permute(2, 1, 0)  # [D, T, B], the last token first: i = T - 1 - s
    return (matrices.to(data.dtype).contiguous() @ signal).permute(2, 1, 0)


def convolve_flops(seq_length: int) -> float:
    """Return the operations per token and feature of `convolve`.

    Fourier transforms of N = 2 T real numbers count ``2.5 N log2 N``: the data's, and the inverse.
    """
    if seq_length <= PRODUCTS_UP_TO:
        return 2.0 * seq_length
    return 2 * 2.5 * 2 * math.log2(2 * seq_length) + 6.0


def _linear(layer: nn.Linear, data: Tensor) -> Tensor:
    bias = None if layer.bias is None else layer.bias.to(data.dtype)
    return F.linear(data, layer.weight.to(data.dtype), bias)
