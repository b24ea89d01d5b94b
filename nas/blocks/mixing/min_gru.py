"""minGRU: a gated recurrent unit whose gates do not see the state, so that it runs in parallel."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.mixing.scan import linear_scan, turn_back, widen
from nas.errors import check_positive
from nas.masks import PaddingMask, padding_of


class MinGRU(ResidualBlock):
    """``state = (1 - z) * state + z * candidate`` over tokens, in both directions.

    Feng et al. 2024 (arXiv 2410.01201): the gate z and the candidate are projections of the token;
    the candidate is made positive as in their logarithmic form (x + 1/2 above 0, sigmoid(x) below).
    Differences: two directions with weights of their own, whose states are joined and projected
    to D; the scan is computed in chunks without logarithms, to the same result; padding leaves the
    state as it is.

    Args:
        hidden_size: D.
        state_size: of each direction; null: D.
        bias: of the projections.
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
        self.state_size = state_size or hidden_size
        self.causal = causal
        directions = 1 if causal else 2
        self.input = nn.Linear(hidden_size, 2 * directions * self.state_size, bias=bias)
        self.output = nn.Linear(directions * self.state_size, hidden_size, bias=bias)

    def effective_config(self) -> dict[str, Any]:
        """Name the size that was chosen."""
        return {**super().effective_config(), "state_size": self.state_size}

    @property
    def label(self) -> str:
        """Always ``mingru``."""
        return "mingru"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of both projections, and of a multiply-add for each state.

        Torch's counter does not see the scan, which is element by element.
        """
        products = self.input.in_features * self.input.out_features
        states = self.output.in_features
        return 2.0 * (products + states * self.output.out_features + states)

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of the mask, only which tokens are real is used."""
        projected = torch.unflatten(self.input(data), -1, (-1, 2, self.state_size))
        gate, candidate = widen(projected).unbind(-2)
        update, keep = gate.sigmoid(), (-gate).sigmoid()
        real = padding_of(attention_mask)
        if real is not None:
            padding = ~real[..., None, None]
            update, keep = update.masked_fill(padding, 0.0), keep.masked_fill(padding, 1.0)
        value = update * positive(candidate)
        states = linear_scan(self._directions(keep), self._directions(value))
        states = turn_back(torch.unflatten(states, -1, (-1, self.state_size)))
        out: Tensor = self.output(states.flatten(2).to(projected.dtype))
        return out

    def _directions(self, data: Tensor) -> Tensor:
        """Return [B, T, G * S] from [B, T, G, S], the second direction reversed."""
        return turn_back(data).flatten(2)


def positive(candidate: Tensor) -> Tensor:
    """Return x + 1/2 where x is not negative, else sigmoid(x): continuous and above 0."""
    return torch.where(candidate >= 0, candidate + 0.5, candidate.sigmoid())
