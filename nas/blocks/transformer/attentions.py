"""The attentions that a transformer layer chooses from by its own arguments."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from nas.blocks.attention.block_sparse import BlockSparseAttention
from nas.blocks.attention.linformer import LinformerAttention
from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.attention.softmax import repeat_heads
from nas.blocks.base import ResidualBlock
from nas.blocks.positions.choose import AttentionPosition
from nas.errors import InputError, check_choice


class QuerySoftmaxAttention(MultiHeadAttention):
    """Attention whose weights sum to 1 over the queries, as the Model Garden's grouped-query attention.

    A mistake there: a masked key still gets a weight of 1/T from every query, and queries at padding
    take part. It is here to compute what checkpoints trained with it compute, and not a block to choose.
    """

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return [B, H, T, K]."""
        weights = self._scores(query, key, attention_mask).softmax(dim=-2)
        return F.dropout(weights, self._dropout_now()).to(value.dtype) @ repeat_heads(value, self.num_heads)


def choose_attention(
    hidden_size: int,
    num_heads: int,
    *,
    num_kv_heads: int | None,
    head_size: int | None = None,
    bias: bool,
    attention_dropout: float,
    softmax_axis: int,
    position: AttentionPosition,
    rope_theta: float,
    linformer: dict[str, Any] | None = None,
    block_sparse: dict[str, Any] | None = None,
) -> ResidualBlock:
    """Return the attention without norm or residual: `MultiHeadAttention` unless asked for another.

    Args:
        hidden_size: D.
        num_heads: H.
        num_kv_heads: see `MultiHeadAttention`, as are ``head_size``, ``bias``, ``attention_dropout``,
            ``position`` and ``rope_theta``.
        head_size: K; None: D / H.
        bias: of the projections.
        attention_dropout: applied to the weights.
        softmax_axis: -1: weights sum to 1 over keys; -2: over queries.
        position: ``none`` with the two below.
        rope_theta: the base of RoPE's angles.
        linformer: further arguments of `LinformerAttention`, which is used if they are given.
        block_sparse: further arguments of `BlockSparseAttention`, likewise.

    Raises:
        InputError: the settings exclude each other, or a size is wrong.
    """
    check_choice("softmax_axis", softmax_axis, (-1, -2))
    shared: dict[str, Any] = {
        "num_kv_heads": num_kv_heads,
        "head_size": head_size,
        "bias": bias,
        "attention_dropout": attention_dropout,
        "norm": "none",
    }
    if linformer is not None and block_sparse is not None:
        raise InputError("linformer_dim and src_block_size exclude each other: set one of them")
    if position != "none" and (linformer is not None or block_sparse is not None):
        raise InputError(f"position={position!r} has no place with linformer_dim or src_block_size: 'none'")
    if linformer is not None:
        return LinformerAttention(hidden_size, num_heads, softmax_axis=softmax_axis, **linformer, **shared)
    if block_sparse is not None:
        return BlockSparseAttention(
            hidden_size, num_heads, softmax_axis=softmax_axis, **block_sparse, **shared
        )
    cls = MultiHeadAttention if softmax_axis == -1 else QuerySoftmaxAttention
    return cls(hidden_size, num_heads, position=position, rope_theta=rope_theta, **shared)


def linformer_settings(
    linformer_dim: int | None, shared_projection: bool, max_seq_length: int | None
) -> dict[str, Any] | None:
    """Return the arguments of `LinformerAttention` alone, or None if it is not asked for."""
    if linformer_dim is None:
        return None
    return {"rank": linformer_dim, "shared_projection": shared_projection, "max_seq_length": max_seq_length}


def block_settings(
    src_block_size: int | None, tgt_block_size: int | None, sigmoid_bias: float | None = None
) -> dict[str, Any] | None:
    """Return the arguments of `BlockSparseAttention` alone, or None if it is not asked for.

    Raises:
        InputError: there are settings of blocks, but no size of them.
    """
    if src_block_size is not None:
        return {"block_size": src_block_size, "key_block_size": tgt_block_size, "sigmoid_bias": sigmoid_bias}
    if (tgt_block_size, sigmoid_bias) != (None, None):
        raise InputError(
            f"tgt_block_size={tgt_block_size} and sigmoid_attn_bias={sigmoid_bias} need src_block_size"
        )
    return None
