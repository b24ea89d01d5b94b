"""Attention that reuses the weights of the block before it."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention.mha import size_of_heads
from nas.blocks.attention.softmax import add_biases, attention_weights, merge_heads, split_heads
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.errors import InputError, check_positive, check_probability
from nas.masks import attention_bias


class ReuseAttention(ResidualBlock):
    """Multi-head attention in which some heads take over the weights of the last block of this kind.

    Bhojanapalli et al. 2021 (arXiv 2110.06821). The state is the weights [B, H, T, T], after the
    softmax and before dropout: the new heads first, then the reused ones. Of an incoming state,
    the first ``reuse_heads`` heads are reused. Differences from the Model Garden: one value and
    one output projection for new and reused heads together (there two of each, whose results are
    summed: the same function); the block is attention alone (`ReuseTransformer` is the whole layer).

    Args:
        hidden_size: D.
        num_heads: H.
        reuse_heads: how many heads are taken over; -1: all.
        has_state: true: a block of this kind stands before, so that only the other heads get query
            and key weights; false: none does, all weights are computed; null: unknown (one
            instance in several slots), so that all heads get them and a state is used if it comes.
        head_size: K; null: D / H.
        relative_positions: P: a learnt number for each head and distance from -P + 1 to P - 1, which
            is added to the scores; larger distances count as the largest. Null: none.
        bias: of the projections.
        attention_dropout: applied to the weights.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: ``num_heads`` does not divide ``hidden_size``, or ``reuse_heads`` is not in
            -1 to ``num_heads``.
    """

    role: ClassVar[Role] = "recursive"
    recursive: ClassVar[bool] = True
    state_kind: ClassVar[str] = "attention_scores"

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        reuse_heads: int = -1,
        has_state: bool | None = None,
        head_size: int | None = None,
        relative_positions: int | None = None,
        bias: bool = False,
        attention_dropout: float = 0.0,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_probability(attention_dropout=attention_dropout)
        check_positive(relative_positions=1 if relative_positions is None else relative_positions)
        self.num_heads = num_heads
        self.head_size = size_of_heads(hidden_size, num_heads, head_size)
        self.has_state = has_state
        self.reuse_heads = 0 if has_state is False else _heads_reused(num_heads, reuse_heads)
        own = num_heads - (self.reuse_heads if has_state else 0)
        self.query = nn.Linear(hidden_size, own * self.head_size, bias=bias) if own else None
        self.key = nn.Linear(hidden_size, own * self.head_size, bias=bias) if own else None
        self.value = nn.Linear(hidden_size, num_heads * self.head_size, bias=bias)
        self.places = None
        if own and relative_positions is not None:
            self.places = nn.Parameter(torch.empty(own, 2 * relative_positions - 1))
            nn.init.trunc_normal_(self.places, std=0.2, a=-0.4, b=0.4)
        self.weights_dropout = nn.Dropout(attention_dropout)
        self.output = nn.Linear(num_heads * self.head_size, hidden_size, bias=bias)

    def effective_config(self) -> dict[str, Any]:
        """Name the size that was chosen, and how many heads are taken over."""
        chosen = {"head_size": self.head_size, "reuse_heads": self.reuse_heads}
        unread = {"relative_positions": None} if self.places is None else {}
        return {**super().effective_config(), **chosen, **unread}

    @property
    def label(self) -> str:
        """Always ``reuse``."""
        return "reuse"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost with a state if ``has_state``, and else that of all heads."""
        hidden_size, width = self.value.in_features, self.value.out_features
        own = self.num_heads - (self.reuse_heads if self.has_state else 0)
        scores = own * self.head_size * (2 * hidden_size + seq_length)
        values = width * (2 * hidden_size + seq_length)
        return 2.0 * (scores + values)

    def mix(
        self, data: Tensor, attention_mask: Tensor | None, *state: Any, key_value: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map [B, T, D] and a state [B, H', T, S], H' >= ``reuse_heads``, to both anew, H' = H.

        The mask is None, [B, S], [B, T, S] or [B, 1, T, S]; reused weights already know theirs.
        ``key_value`` [B, S, D] is what keys and values are made of, if not ``data``.

        Raises:
            InputError: the state is missing, or has another shape.
        """
        keys = data if key_value is None else key_value
        weights = self._weights(data, keys, attention_mask, self._reused(data, keys, *state))
        value = split_heads(self.value(keys), self.num_heads)
        averaged = self.weights_dropout(weights).to(value.dtype) @ value
        return self.output(merge_heads(averaged)), weights

    def _weights(
        self, data: Tensor, keys: Tensor, attention_mask: Tensor | None, reused: Tensor | None
    ) -> Tensor:
        """Return the new heads' weights, then the reused ones: [B, H, T, S]."""
        new_heads = self.num_heads - (0 if reused is None else self.reuse_heads)
        if self.query is None or self.key is None or new_heads == 0:
            assert reused is not None
            return reused
        query = self._heads(self.query, data, new_heads)
        key = self._heads(self.key, keys, new_heads)
        bias = add_biases(self._by_distance(query, key), attention_bias(attention_mask, query.dtype))
        weights = attention_weights(query, key, bias)
        return weights if reused is None else torch.cat([weights, reused.to(weights.dtype)], dim=1)

    def _by_distance(self, query: Tensor, key: Tensor) -> Tensor | None:
        """Return what distances add to the scores [1, heads, T, S], or None."""
        if self.places is None:
            return None
        longest = self.places.shape[1] // 2
        places = torch.arange(max(query.shape[2], key.shape[2]), device=query.device)
        distance = places[: key.shape[2]] - places[: query.shape[2], None]
        table = self.places[: query.shape[1]].to(query.dtype)
        return table[:, distance.clamp(-longest, longest) + longest][None]

    def _heads(self, projection: nn.Linear, data: Tensor, heads: int) -> Tensor:
        """Project to the first so many heads: [B, heads, T, K]."""
        rows = heads * self.head_size
        bias = None if projection.bias is None else projection.bias[:rows]
        return split_heads(F.linear(data, projection.weight[:rows], bias), heads)

    def _reused(self, data: Tensor, keys: Tensor, state: Tensor | None = None) -> Tensor | None:
        """Return the weights to take over [B, reuse_heads, T, S], or None if all are computed."""
        if self.reuse_heads == 0 or (state is None and not self.has_state):
            return None
        batch, wanted = data.shape[0], (data.shape[1], keys.shape[1])
        needed = f"{self.label} (ReuseAttention) with reuse_heads={self.reuse_heads} needs a state"
        if state is None:
            raise InputError(f"{needed}, but no block of kind {self.state_kind!r} stands before it")
        fits = state.dim() == 4 and state.shape[0] == batch and state.shape[2:] == wanted
        if not fits or state.shape[1] < self.reuse_heads:
            raise InputError(
                f"{needed} of shape [{batch}, {self.reuse_heads} or more, {wanted[0]}, {wanted[1]}], "
                f"not {list(state.shape)}"
            )
        return state[:, : self.reuse_heads]


def _heads_reused(num_heads: int, reuse_heads: int) -> int:
    if not -1 <= reuse_heads <= num_heads:
        raise InputError(f"reuse_heads={reuse_heads} must be between -1 (all) and num_heads={num_heads}")
    return num_heads if reuse_heads == -1 else reuse_heads
