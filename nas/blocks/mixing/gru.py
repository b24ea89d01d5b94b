"""Gated recurrent unit, in both directions."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.mixing.gru_kernel import run_gru
from nas.blocks.mixing.scan import full_precision, widen
from nas.errors import check_positive
from nas.masks import PaddingMask, hide_padding, padding_of


class GRU(ResidualBlock):
    """Two recurrent networks read the tokens, one from each end; their states are projected to D.

    Cho et al. 2014 (arXiv 1406.1078), in torch's form (the reset gate after the product). Each
    direction reads the real tokens first, gathered in its own order, so that padding never comes
    before one of them: in a bidirectional layer it would. Half precision is computed in float32.
    Nothing runs in parallel over tokens: see `MinGRU`.

    Args:
        hidden_size: D.
        state_size: of each direction; null: D divided by the number of directions.
        bias: of the gates and the projection.
        causal: one direction, from the first token to the last.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: a size is not positive.
    """

    role: ClassVar[Role] = "mixing"
    mask_cls: ClassVar[type[nn.Module] | None] = PaddingMask

    def __init__(
        self,
        hidden_size: int,
        *,
        state_size: int | None = None,
        bias: bool = True,
        causal: bool = False,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_positive(state_size=1 if state_size is None else state_size)
        directions = 1 if causal else 2
        self.state_size = state_size or max(1, hidden_size // directions)
        self.directions = nn.ModuleList(
            nn.GRUCell(hidden_size, self.state_size, bias=bias) for _ in range(directions)
        )
        self.output = nn.Linear(directions * self.state_size, hidden_size, bias=bias)

    def effective_config(self) -> dict[str, Any]:
        """Name the size that was chosen."""
        return {**super().effective_config(), "state_size": self.state_size}

    @property
    def label(self) -> str:
        """Always ``gru``."""
        return "gru"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of three gates that read token and state, and of the projection."""
        hidden_size, size = self.output.out_features, self.state_size
        return 2.0 * len(self.directions) * size * (3 * (hidden_size + size) + hidden_size)

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used."""
        real = padding_of(attention_mask)
        read = widen(hide_padding(data, real))
        states = [_run(cell, read, real, backward=i == 1) for i, cell in enumerate(self.directions)]
        out: Tensor = self.output(torch.cat(states, dim=-1).to(self.output.weight.dtype))
        return out


def _run(cell: nn.Module, data: Tensor, real: Tensor | None, *, backward: bool) -> Tensor:
    """Return the states [B, T, S] of one direction over [B, T, D]."""
    weights = [weight.to(data.dtype) for weight in cell.parameters()]
    with full_precision(data.device):
        if real is None:
            states = run_gru(data.flip(1) if backward else data, weights)
            return states.flip(1) if backward else states
        order = real_first(real, backward=backward)
        states = run_gru(_gather(data, order), weights)
        return _gather(states, order.argsort(dim=1))


def real_first(real: Tensor, *, backward: bool) -> Tensor:
    """Return the places of the real tokens in reading order, then those of padding, [B, T]."""
    tokens = real.shape[1]
    places = torch.arange(tokens, device=real.device).expand_as(real)
    return torch.where(real, -places if backward else places, tokens + places).argsort(dim=1)


def _gather(data: Tensor, order: Tensor) -> Tensor:
    """Put the tokens of [B, T, C] into the order [B, T]."""
    return data.gather(1, order[..., None].expand(-1, -1, data.shape[-1]))
