"""Attention over a fixed number of mixtures of tokens, instead of over the tokens."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention.mha import groups_of_heads, size_of_heads
from nas.blocks.attention.softmax import attend, attention_scores, merge_heads, repeat_heads, split_heads
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.mixing.fixed_length import check_length, known_length, leading
from nas.errors import check_choice, check_positive, check_probability
from nas.masks import hide_padding, padding_of


class LinformerAttention(ResidualBlock):
    """Multi-head attention whose keys and values are R learnt mixtures of all tokens: linear in T.

    Wang et al. 2020 (arXiv 2006.04768). Differences, both the Model Garden's: tokens are mixed before
    they are projected to keys and values (in the paper afterwards); one mixing matrix serves all heads.
    Padding is left out of the mixtures. The mixing matrix has a row for each place, so that there is
    a longest input, and no position scheme by distance.

    Args:
        hidden_size: D.
        num_heads: H.
        max_seq_length: the longest input; an encoder tells its embedding's if this is null.
        rank: R, the number of mixtures.
        shared_projection: keys and values are made of the same mixtures.
        num_kv_heads: key and value heads; null: H; 1: multi-query.
        head_size: K; null: D / H.
        bias: of the projections (the mixing matrix has none).
        attention_dropout: applied to the weights.
        softmax_axis: -1: weights of a query sum to 1; -2: those of a mixture do, as in the Model
            Garden's grouped-query attention, by mistake: queries then compete with each other.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: a size is missing or not positive, or heads do not divide.
    """

    role: ClassVar[Role] = "attention"

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        max_seq_length: int | None = None,
        *,
        rank: int = 64,
        shared_projection: bool = True,
        num_kv_heads: int | None = None,
        head_size: int | None = None,
        bias: bool = False,
        attention_dropout: float = 0.0,
        softmax_axis: int = -1,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        max_seq_length = known_length("linformer", max_seq_length)
        check_positive(rank=rank)
        check_probability(attention_dropout=attention_dropout)
        check_choice("softmax_axis", softmax_axis, (-1, -2))
        self.num_heads, self.max_seq_length, self.rank = num_heads, max_seq_length, rank
        self.head_size = size_of_heads(hidden_size, num_heads, head_size)
        self.num_kv_heads = groups_of_heads(num_heads, num_kv_heads)
        self.attention_dropout, self.softmax_axis = attention_dropout, softmax_axis
        self.shared_projection = shared_projection
        self.mixtures = nn.Parameter(torch.empty(max_seq_length, rank if shared_projection else 2 * rank))
        nn.init.normal_(self.mixtures, std=max_seq_length**-0.5)
        widths = (num_heads + 2 * self.num_kv_heads) * self.head_size
        self.qkv = nn.Linear(hidden_size, widths, bias=bias)
        self.output = nn.Linear(num_heads * self.head_size, hidden_size, bias=bias)

    def effective_config(self) -> dict[str, Any]:
        """Name the sizes that were chosen."""
        sizes = {"num_kv_heads": self.num_kv_heads, "head_size": self.head_size}
        return {**super().effective_config(), **sizes}

    @property
    def label(self) -> str:
        """``linformer`` with the number of mixtures."""
        return f"linformer{self.rank}"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of mixing, of projecting T queries and R keys and values, and of attention."""
        hidden_size, width = self.qkv.in_features, self.output.in_features
        mixing = 2.0 * hidden_size * self.mixtures.shape[1]
        queries = 4.0 * hidden_size * width + 4.0 * self.rank * width
        keys = 4.0 * hidden_size * self.num_kv_heads * self.head_size * self.rank / seq_length
        return mixing + queries + keys

    def mix(
        self, data: Tensor, attention_mask: Tensor | None, *state: Any, key_value: Tensor | None = None
    ) -> Tensor:
        """Map [B, T, D] to [B, T, D]; the mask is None, [B, S] or [B, T, S] (then: seen by any query).

        ``key_value`` [B, S, D] is what keys and values are made of, if not ``data``.

        Raises:
            InputError: the input is longer than ``max_seq_length``.
        """
        keys, values = self._compress(data if key_value is None else key_value, attention_mask)
        group = self.num_kv_heads * self.head_size
        widths = [self.output.in_features, group, group]
        weights = torch.split(self.qkv.weight, widths)
        biases = [None] * 3 if self.qkv.bias is None else torch.split(self.qkv.bias, widths)
        query, key, value = (
            F.linear(x, w, b) for x, w, b in zip((data, keys, values), weights, biases, strict=True)
        )
        heads = self._attend(
            split_heads(query, self.num_heads),
            split_heads(key, self.num_kv_heads),
            split_heads(value, self.num_kv_heads),
        )
        out: Tensor = self.output(merge_heads(heads))
        return out

    def _compress(self, data: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the mixtures that keys and those that values are made of, both [B, R, D]."""
        tokens = data.shape[1]
        check_length("linformer", tokens, self.max_seq_length)
        data = hide_padding(data, padding_of(attention_mask))
        mixed = leading(self.mixtures, 0, tokens).T.to(data.dtype) @ data
        return (mixed, mixed) if self.shared_projection else (mixed[:, : self.rank], mixed[:, self.rank :])

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return [B, H, T, K] from query [B, H, T, K], key and value [B, G, R, K]."""
        dropout = self.attention_dropout if self.training else 0.0
        if self.softmax_axis == -1:
            return attend(query, key, value, None, dropout)
        return attend_over(self.softmax_axis, query, key, value, None, dropout)


def attend_over(
    axis: int, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, dropout: float
) -> Tensor:
    """Return `attend` with weights that sum to 1 along another axis: -1 keys, -2 queries."""
    key, value = repeat_heads(key, query.shape[1]), repeat_heads(value, query.shape[1])
    scores = attention_scores(query, key, bias)
    return F.dropout(scores.softmax(dim=axis), dropout).to(value.dtype) @ value
