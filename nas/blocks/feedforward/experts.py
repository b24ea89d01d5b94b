"""Several feed-forward networks of one shape, computed together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.blocks.activations import Activation
from nas.blocks.growth import NEW_UNITS, SILENT_UNITS, Widening


class Experts(nn.Module):
    """E two-layer networks of one shape, each product batched over them.

    Args:
        num_experts: E.
        hidden_size: D.
        inner_dim: F, the width in between.
        activation: between the layers.
        bias: of both layers.
        inner_dropout: applied after the activation.
    """

    def __init__(
        self,
        num_experts: int,
        hidden_size: int,
        inner_dim: int,
        activation: Activation,
        bias: bool,
        inner_dropout: float,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.inner = nn.Parameter(torch.empty(num_experts, hidden_size, inner_dim))
        self.output = nn.Parameter(torch.empty(num_experts, inner_dim, hidden_size))
        self.inner_bias = nn.Parameter(torch.zeros(num_experts, 1, inner_dim)) if bias else None
        self.output_bias = nn.Parameter(torch.zeros(num_experts, 1, hidden_size)) if bias else None
        self.inner_dropout = nn.Dropout(inner_dropout)
        self.flops = 4.0 * hidden_size * inner_dim
        for weight in (self.inner, self.output):
            bound = weight.shape[1] ** -0.5
            nn.init.uniform_(weight, -bound, bound)

    def widening(self, name: str) -> dict[str, Widening]:
        """Return what becomes of the weights of a part called ``name`` when ``inner_dim`` grows."""
        weights = {"inner": NEW_UNITS, "inner_bias": NEW_UNITS, "output": SILENT_UNITS}
        return {f"{name}.{weight}": widening for weight, widening in weights.items()}

    def last_weights(self) -> list[Tensor]:
        """Return the weights of the second layer."""
        return [self.output] if self.output_bias is None else [self.output, self.output_bias]

    def forward(self, data: Tensor) -> Tensor:
        """Map [E, M, D] to [E, M, D]: every expert its own M rows."""
        inner = self.inner_dropout(self.activation(_affine(data, self.inner, self.inner_bias)))
        return _affine(inner, self.output, self.output_bias)


def _affine(data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return data @ weight + bias for [E, M, K], [E, K, N], [E, 1, N]."""
    if bias is None:
        return torch.bmm(data, weight)
    return torch.baddbmm(bias, data, weight)
