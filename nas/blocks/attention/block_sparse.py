"""Attention within blocks of neighbouring tokens."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention.mha import groups_of_heads, size_of_heads
from nas.blocks.attention.softmax import attention_scores, hide, merge_heads, repeat_heads, split_heads
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.errors import InputError, check_choice, check_positive, check_probability
from nas.masks import MASKED, MASKED_HALF


class BlockSparseAttention(ResidualBlock):
    """Multi-head attention in which every token sees its own block of neighbours alone: linear in T.

    The block-diagonal attention of the Model Garden (after Child et al. 2019, arXiv 1904.10509).
    Differences: weights are normalised over keys (there over the queries of a block, by mistake:
    ``softmax_axis``); any length will do, the last block being padded; padded queries keep attending.

    Args:
        hidden_size: D.
        num_heads: H.
        block_size: queries in a block.
        key_block_size: keys in a block; null: ``block_size``. Where it is the number of all keys,
            every block of queries sees all of them.
        num_kv_heads: key and value heads; null: H; 1: multi-query.
        head_size: K; null: D / H.
        bias: of the projections.
        attention_dropout: applied to the weights.
        sigmoid_bias: weights are ``sigmoid(score + bias)`` (Ramapuram et al. 2024, arXiv 2409.04431,
            who suggest ``-log T``); null: a softmax.
        softmax_axis: -1: weights of a query sum to 1; -2: those of a key do, over the queries of the
            block, and padded queries are masked like padded keys, as in the Model Garden.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: a size is not positive, or heads do not divide.
    """

    role: ClassVar[Role] = "attention"

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        block_size: int = 64,
        key_block_size: int | None = None,
        num_kv_heads: int | None = None,
        head_size: int | None = None,
        bias: bool = False,
        attention_dropout: float = 0.0,
        sigmoid_bias: float | None = None,
        softmax_axis: int = -1,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_positive(block_size=block_size, key_block_size=1 if key_block_size is None else key_block_size)
        check_probability(attention_dropout=attention_dropout)
        check_choice("softmax_axis", softmax_axis, (-1, -2))
        self.num_heads, self.block_size = num_heads, block_size
        self.key_block_size = block_size if key_block_size is None else key_block_size
        self.head_size = size_of_heads(hidden_size, num_heads, head_size)
        self.num_kv_heads = groups_of_heads(num_heads, num_kv_heads)
        self.sigmoid_bias, self.softmax_axis = sigmoid_bias, softmax_axis
        group = self.num_kv_heads * self.head_size
        self.query = nn.Linear(hidden_size, num_heads * self.head_size, bias=bias)
        self.key_value = nn.Linear(hidden_size, 2 * group, bias=bias)
        self.weights_dropout = nn.Dropout(attention_dropout)
        self.output = nn.Linear(num_heads * self.head_size, hidden_size, bias=bias)

    def effective_config(self) -> dict[str, Any]:
        """Name the sizes that were chosen."""
        sizes = {
            "num_kv_heads": self.num_kv_heads,
            "head_size": self.head_size,
            "key_block_size": self.key_block_size,
        }
        return {**super().effective_config(), **sizes}

    @property
    def label(self) -> str:
        """``blocks`` with the number of queries in one."""
        return f"blocks{self.block_size}"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of the projections, and of attention with the last block's padding."""
        projections = self.query.in_features * (
            self.query.out_features + self.key_value.out_features + self.output.in_features
        )
        queries = self.block_size * -(-seq_length // self.block_size) / seq_length
        return 2.0 * projections + 4.0 * queries * self.key_block_size * self.output.in_features

    def mix(
        self, data: Tensor, attention_mask: Tensor | None, *state: Any, key_value: Tensor | None = None
    ) -> Tensor:
        """Map [B, T, D] to [B, T, D]; the mask is None, [B, S], [B, T, S] or [B, 1, T, S].

        ``key_value`` [B, S, D] is what keys and values are made of, if not ``data``.

        Raises:
            InputError: there is another number of blocks of queries than of keys.
        """
        keys = data if key_value is None else key_value
        query = split_heads(self.query(data), self.num_heads)
        key, value = (
            repeat_heads(split_heads(x, self.num_kv_heads), self.num_heads)
            for x in self.key_value(keys).chunk(2, dim=-1)
        )
        mask = self._mask(attention_mask, data, keys)
        if torch.compiler.is_exporting():
            heads = self._attend_masked(query, key, value, mask)
        else:
            heads = self._attend_blocks(query, key, value, mask)
        out: Tensor = self.output(merge_heads(heads))
        return out

    def _attend_blocks(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """Return [B, H, T, K] from query [B, H, T, K], key and value [B, H, S, K], block by block."""
        self._check_blocks(query.shape[2], key.shape[2])
        bias = (1 - self._cut(mask)) * _masked(query.dtype)
        key, value = _blocks(key, self.key_block_size), _blocks(value, self.key_block_size)
        scores = attention_scores(_blocks(query, self.block_size), key, bias)
        averaged: Tensor = self.weights_dropout(self._normalise(scores)).to(value.dtype) @ value
        return averaged.flatten(2, 3)[:, :, : query.shape[2]]

    def _attend_masked(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """Return the same from all products: the form of a graph that is exported for any length."""
        if self.softmax_axis == -2 and mask.shape[2] == 1:
            mask = mask * mask.mT
        places = torch.arange(query.shape[2], device=query.device) // self.block_size
        others = torch.arange(key.shape[2], device=query.device) // self.key_block_size
        apart = places[:, None] != others
        scores = attention_scores(query, key, hide((1 - mask) * _masked(query.dtype), apart, query.dtype))
        averaged: Tensor = self.weights_dropout(self._normalise(scores)).to(value.dtype) @ value
        return averaged

    def _normalise(self, scores: Tensor) -> Tensor:
        """Return weights from scores [B, H, L, T / L, S / L]."""
        if self.sigmoid_bias is not None:
            return torch.sigmoid(scores + self.sigmoid_bias)
        return scores.softmax(dim=self.softmax_axis)

    def _mask(self, attention_mask: Tensor | None, data: Tensor, keys: Tensor) -> Tensor:
        """Return which key a query may see, [B, 1 or H, 1 or T, S], in the data's dtype."""
        if attention_mask is None:
            return data.new_ones(data.shape[0], 1, 1, keys.shape[1])
        if attention_mask.dim() > 2 and attention_mask.stride(-2) == 0:
            attention_mask = attention_mask[..., :1, :]  # one row for all queries
        mask = attention_mask.to(data.dtype)
        if mask.dim() == 4:
            return mask
        return mask[:, None, None] if mask.dim() == 2 else mask[:, None]

    def _cut(self, mask: Tensor) -> Tensor:
        """Cut a mask [B, 1 or H, 1 or T, S] into blocks: [B, 1 or H, 1 or L, 1 or T / L, S / L]."""
        whole = mask.shape[-1] <= self.key_block_size != self.block_size
        mask = _fill(mask, self.key_block_size, dim=-1)
        if mask.shape[2] == 1 and not whole:
            mask = torch.unflatten(mask, -1, (-1, self.key_block_size)).transpose(2, 3)
            return mask * mask.mT if self.softmax_axis == -2 else mask
        if mask.shape[2] == 1:
            return mask[:, :, None]
        rows = torch.unflatten(_fill(mask, self.block_size, dim=-2), 2, (-1, self.block_size))
        if whole:
            return rows
        pairs = torch.unflatten(rows, -1, (-1, self.key_block_size))
        return pairs.diagonal(dim1=2, dim2=4).movedim(-1, 2)

    def _check_blocks(self, queries: int, keys: int) -> None:
        if self.key_block_size == self.block_size and queries == keys:
            return
        blocks, key_blocks = -(-queries // self.block_size), -(-keys // self.key_block_size)
        if key_blocks not in (1, blocks):
            raise InputError(
                f"{self.label} (BlockSparseAttention) cuts {queries} queries into {blocks} blocks "
                f"(block_size={self.block_size}), but {keys} keys into {key_blocks} "
                f"(key_block_size={self.key_block_size}): expected as many, or one"
            )


def _masked(dtype: torch.dtype) -> float:
    return MASKED_HALF if dtype is torch.float16 else MASKED


def _blocks(heads: Tensor, size: int) -> Tensor:
    """Cut [B, H, T, K] into blocks [B, H, L, size, K]; the last one is filled with zeros."""
    return torch.unflatten(_fill(heads, size, dim=-2), 2, (-1, size))


def _fill(data: Tensor, size: int, dim: int) -> Tensor:
    """Add zeros along the last or last but one axis, up to a multiple of ``size``."""
    missing = (size - data.shape[dim] % size) % size
    return F.pad(data, (0, missing) if dim == -1 else (0, 0, 0, missing))
