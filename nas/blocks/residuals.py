"""Residual schemes: how what a block computed joins what came in."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from nas.errors import check_choice

Residual = Literal["add", "rezero", "layerscale", "gate"]

_INITIAL = {"rezero": 0.0, "layerscale": 0.1, "gate": -3.0}


class Add(nn.Module):
    """``data + update`` (He et al. 2015, arXiv 1512.03385)."""

    flops_per_token = 0.0

    def forward(self, data: Tensor, update: Tensor) -> Tensor:
        """Return [B, T, D] from two of that shape."""
        return data + update


class Scaled(nn.Module):
    """``data + scale * update`` with a learnt scale.

    One number that starts at 0 is ReZero (Bachlechner et al. 2020, arXiv 2003.04887); one per
    feature that starts small is LayerScale (Touvron et al. 2021, arXiv 2103.17239).
    """

    flops_per_token = 0.0

    def __init__(self, size: int, initial: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((size,), initial))

    def forward(self, data: Tensor, update: Tensor) -> Tensor:
        """Return [B, T, D] from two of that shape."""
        return data + self.scale.to(update.dtype) * update


class CopyGate(nn.Module):
    """``gate * update + (1 - gate) * data``: each feature is replaced or copied.

    The Neural Data Router's gate (Csordas et al. 2021, arXiv 2110.07732), whose bias of -3 copies
    at first. Difference: the gate reads the update through one linear layer (there through a
    two-layer network of its own).
    """

    def __init__(self, hidden_size: int, initial: float) -> None:
        super().__init__()
        self.gate = nn.Linear(hidden_size, hidden_size)
        nn.init.constant_(self.gate.bias, initial)

    @property
    def flops_per_token(self) -> float:
        """The gate's product."""
        return 2.0 * self.gate.in_features * self.gate.out_features

    def forward(self, data: Tensor, update: Tensor) -> Tensor:
        """Return [B, T, D] from two of that shape."""
        return data + torch.sigmoid(self.gate(update)) * (update - data)


def make_residual(residual: Residual, hidden_size: int, initial: float | None) -> Add | Scaled | CopyGate:
    """Return the module that joins data and update, both [B, T, D].

    Args:
        residual: the scheme.
        hidden_size: D.
        initial: ReZero's and LayerScale's scale, or the copy gate's bias, at the start; None: 0,
            0.1 and -3.

    Raises:
        InputError: the scheme is unknown.
    """
    check_choice("residual", residual, get_args(Residual))
    if residual == "add":
        return Add()
    start = _INITIAL[residual] if initial is None else initial
    if residual == "gate":
        return CopyGate(hidden_size, start)
    return Scaled(1 if residual == "rezero" else hidden_size, start)
