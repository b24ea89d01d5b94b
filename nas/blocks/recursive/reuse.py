"""Attention that reuses the weights of the block before it."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention.kernel import attention_weights, merge_heads, split_heads
from nas.blocks.attention.mha import size_of_heads
from nas.blocks.base import NormSite, ResidualBlock, Role
from nas.blocks.norms import NormType
from nas.errors import InputError, check_probability
from nas.masks import attention_bias


class ReuseAttention(ResidualBlock):
    """Multi-head attention in which some heads take over the weights of the last block of this kind.

    Bhojanapalli et al. 2021 (arXiv 2110.06821). The state is the weights [B, H, T, T], after the
    softmax and before dropout: the new heads first, then the reused ones. Of an incoming state,
    the first ``reuse_heads`` heads are reused. Differences from the Model Garden: one value and
    one output projection for new and reused heads together (there two of each, whose results are
    summed: the same function); no relative positions; the block is attention alone.

    Args:
        hidden_size: D.
        num_heads: H.
        reuse_heads: how many heads are taken over; -1: all.
        has_state: true: a block of this kind stands before, so that only the other heads get query
            and key weights; false: none does, all weights are computed; null: unknown (one
            instance in several slots), so that all heads get them and a state is used if it comes.
        bias: of the projections.
        attention_dropout: applied to the weights.
        norm: see `ResidualBlock`, as are ``norm_type``, ``norm_epsilon`` and ``dropout``.

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
        bias: bool = False,
        attention_dropout: float = 0.0,
        norm: NormSite = "pre",
        norm_type: NormType = "layer",
        norm_epsilon: float = 1e-6,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            hidden_size, norm=norm, norm_type=norm_type, norm_epsilon=norm_epsilon, dropout=dropout
        )
        check_probability(attention_dropout=attention_dropout)
        self.num_heads = num_heads
        self.head_size = size_of_heads(hidden_size, num_heads)
        self.has_state = has_state
        self.reuse_heads = 0 if has_state is False else _heads_reused(num_heads, reuse_heads)
        own = num_heads - (self.reuse_heads if has_state else 0)
        self.query = nn.Linear(hidden_size, own * self.head_size, bias=bias) if own else None
        self.key = nn.Linear(hidden_size, own * self.head_size, bias=bias) if own else None
        self.value = nn.Linear(hidden_size, hidden_size, bias=bias)
        self.weights_dropout = nn.Dropout(attention_dropout)
        self.output = nn.Linear(hidden_size, hidden_size, bias=bias)

    @property
    def label(self) -> str:
        """Always ``reuse``."""
        return "reuse"

    def flops_per_token(self, seq_length: int) -> float:
        """Return the cost with a state if ``has_state``, and else that of all heads."""
        hidden_size = self.value.in_features
        own = self.num_heads - (self.reuse_heads if self.has_state else 0)
        scores = own * self.head_size * (2 * hidden_size + seq_length)
        values = hidden_size * (2 * hidden_size + seq_length)
        return 2.0 * (scores + values)

    def mix(
        self, data: Tensor, attention_mask: Tensor | None, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map [B, T, D] and a state [B, H', T, T], H' >= ``reuse_heads``, to both anew, H' = H.

        The mask is None, [B, T], [B, T, T] or [B, 1, T, T]; reused weights already know theirs.

        Raises:
            InputError: the state is missing, or has another shape.
        """
        weights = self._weights(data, attention_mask, self._reused(data, state))
        value = split_heads(self.value(data), self.num_heads)
        averaged = self.weights_dropout(weights).to(value.dtype) @ value
        return self.output(merge_heads(averaged)), weights

    def _weights(self, data: Tensor, attention_mask: Tensor | None, reused: Tensor | None) -> Tensor:
        """Return the new heads' weights, then the reused ones: [B, H, T, T]."""
        new_heads = self.num_heads - (0 if reused is None else self.reuse_heads)
        if self.query is None or self.key is None or new_heads == 0:
            assert reused is not None
            return reused
        query = self._heads(self.query, data, new_heads)
        key = self._heads(self.key, data, new_heads)
        weights = attention_weights(query, key, attention_bias(attention_mask, query.dtype))
        return weights if reused is None else torch.cat([weights, reused.to(weights.dtype)], dim=1)

    def _heads(self, projection: nn.Linear, data: Tensor, heads: int) -> Tensor:
        """Project to the first so many heads: [B, heads, T, K]."""
        rows = heads * self.head_size
        bias = None if projection.bias is None else projection.bias[:rows]
        return split_heads(F.linear(data, projection.weight[:rows], bias), heads)

    def _reused(self, data: Tensor, state: Tensor | None) -> Tensor | None:
        """Return the weights to take over [B, reuse_heads, T, T], or None if all are computed."""
        if self.reuse_heads == 0 or (state is None and not self.has_state):
            return None
        batch, tokens = data.shape[:2]
        needed = f"{self.label} (ReuseAttention) with reuse_heads={self.reuse_heads} needs a state"
        if state is None:
            raise InputError(f"{needed}, but no block of kind {self.state_kind!r} stands before it")
        fits = state.dim() == 4 and state.shape[0] == batch and state.shape[2:] == (tokens, tokens)
        if not fits or state.shape[1] < self.reuse_heads:
            raise InputError(
                f"{needed} of shape [{batch}, {self.reuse_heads} or more, {tokens}, {tokens}], "
                f"not {list(state.shape)}"
            )
        return state[:, : self.reuse_heads]


def _heads_reused(num_heads: int, reuse_heads: int) -> int:
    if not -1 <= reuse_heads <= num_heads:
        raise InputError(f"reuse_heads={reuse_heads} must be between -1 (all) and num_heads={num_heads}")
    return num_heads if reuse_heads == -1 else reuse_heads
