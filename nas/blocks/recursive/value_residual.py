"""Attention with a value residual: its values are mixed with those of the first such block."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from nas.blocks.attention.mha import AttentionSettings, MultiHeadAttention
from nas.blocks.attention.softmax import merge_heads, repeat_heads, split_heads
from nas.blocks.base import Role
from nas.errors import InputError


class ValueResidualAttention(MultiHeadAttention):
    """`MultiHeadAttention` whose values are ``own_weight * values + first_weight * first values``.

    Zhou et al. 2024 (arXiv 2410.17897). The state is the values of the first block of this kind,
    [B, T, D], before any mixing. Without a state a block's own values stand for the first ones,
    so that it starts as plain attention. Difference: the state has all H heads, so that blocks of
    different numbers of heads read each other's.

    Args:
        hidden_size: D.
        num_heads: H.
        learned: learn the two weights, which start at 0.5; false: they stay 0.5.
        has_state: false: no block of this kind stands before, so that there is nothing to mix and
            no weights; true or null (one instance in several slots): mix.
        **settings: see `MultiHeadAttention`.

    Raises:
        InputError: see `MultiHeadAttention`; heads together are not as wide as the hidden size.
    """

    role: ClassVar[Role] = "recursive"
    recursive: ClassVar[bool] = True
    state_kind: ClassVar[str] = "values"

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        learned: bool = True,
        has_state: bool | None = None,
        **settings: Unpack[AttentionSettings],
    ) -> None:
        super().__init__(hidden_size, num_heads, **settings)
        if num_heads * self.head_size != hidden_size:
            raise InputError(
                f"num_heads={num_heads} times head_size={self.head_size} must be hidden_size={hidden_size}: "
                "values are handed on to blocks of other head sizes"
            )
        self.has_state = has_state
        weights = None if has_state is False else torch.full((2,), 0.5)
        self.weights = nn.Parameter(weights) if learned and weights is not None else None

    def effective_config(self) -> dict[str, Any]:
        """Leave out ``learned`` where there is nothing to mix."""
        config = super().effective_config()
        return {**config, "learned": None} if self.has_state is False else config

    @property
    def label(self) -> str:
        """Always ``valueresidual``."""
        return "valueresidual"

    def mix(
        self,
        data: Tensor,
        attention_mask: Tensor | None,
        *state: Tensor | None,
        key_value: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Map [B, T, D] and a state, [B, T, D] or None, to both anew; see `MultiHeadAttention`."""
        query, key, value = self._project(data, key_value)
        value, first = self._mix_values(value, *state)
        return self._merge(self._attend(query, key, value, attention_mask), data), first

    def _mix_values(self, value: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the mixed values and the first block's, from own ones [B, G, S, K] and a state."""
        own = repeat_heads(value, self.num_heads)
        if state is not None and state.shape != (value.shape[0], value.shape[2], self.output.in_features):
            raise InputError(
                f"{self.label} ({type(self).__name__}): state of shape {list(state.shape)}: expected "
                f"{[value.shape[0], value.shape[2], self.output.in_features]}, an earlier block's values"
            )
        first = own if state is None else split_heads(state.to(own.dtype), self.num_heads)
        if self.weights is not None:
            weights = self.weights.to(own.dtype)
            own = weights[0] * own + weights[1] * first
        elif state is not None and self.has_state is not False:
            own = (own + first) / 2
        return own, merge_heads(first)
