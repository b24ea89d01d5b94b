"""Attention by FlexAttention: on a GPU, windows and biases of long sequences are never written out."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from nas.blocks.attention.softmax import Band, repeat_heads
from nas.blocks.positions.scheme import PositionScheme
from nas.masks import attention_bias

FLEX_FROM = 1024
"""Tokens from which compiling a kernel (10 s and more, once) is worth it; not measured yet."""
SMALLEST_HEAD = 16
"""PyTorch's kernel takes no smaller K."""


def flex_fits(query: Tensor, attention_mask: Tensor | None, dropout: float) -> bool:
    """Whether `attend_flex` can compute it here, and long sequences make it worth while.

    Not for a mask that differs from query to query: that would have to be written out.
    """
    if not query.is_cuda or torch.compiler.is_exporting() or dropout:
        return False
    row = attention_mask is None or attention_mask.dim() == 2 or attention_mask.stride(-2) == 0
    long = query.shape[2] >= FLEX_FROM and query.shape[3] >= SMALLEST_HEAD
    return row and long and importlib.util.find_spec("triton") is not None


def attend_flex(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    positions: PositionScheme,
    band: Band | None = None,
    soft_cap: float | None = None,
) -> Tensor:
    """Compute what `attend` does without dropout, [B, H, T, K], from what makes its bias.

    Shapes: query [B, H, T, K]; key and value [B, G, S, K]; the mask None, [B, S], or a row
    expanded to [B, T, S]. Keys outside the band are not computed, if whole blocks of them are.
    """
    from torch.nn.attention.flex_attention import flex_attention

    if key.shape[1] != value.shape[1]:
        key, value = repeat_heads(key, query.shape[1]), repeat_heads(value, query.shape[1])
    queries, keys, device = query.shape[2], key.shape[2], query.device
    make_blocks = _blocks if torch.compiler.is_compiling() else _cached_blocks
    call: Any = flex_attention if torch.compiler.is_compiling() else _compiled()
    out: Tensor = call(
        query,
        key,
        value,
        score_mod=_score_mod(query, key, attention_mask, positions, soft_cap),
        block_mask=None if band is None else make_blocks(band, queries, keys, device),
        enable_gqa=True,
    )
    return out


def _score_mod(
    query: Tensor,
    key: Tensor,
    attention_mask: Tensor | None,
    positions: PositionScheme,
    soft_cap: float | None,
) -> Callable[..., Tensor]:
    """Return the function of one score and its places that adds what mask and distance say."""
    queries, keys = query.shape[2], key.shape[2]
    near = positions.by_distance(torch.arange(1 - queries, keys, device=query.device))
    bias = attention_bias(attention_mask, torch.float32)
    row = None if bias is None else bias[:, 0, 0]

    def modified(score: Tensor, batch: Tensor, head: Tensor, query_at: Tensor, key_at: Tensor) -> Tensor:
        if soft_cap is not None:
            score = soft_cap * torch.tanh(score / soft_cap)
        if near is not None:
            score = score + near[head, key_at - query_at + queries - 1]
        return score if row is None else score + row[batch, key_at]

    return modified


def _blocks(band: Band, queries: int, keys: int, device: torch.device) -> Any:
    """Return which blocks of T x S scores the band touches."""
    from torch.nn.attention.flex_attention import create_block_mask

    def seen(batch: Tensor, head: Tensor, query_at: Tensor, key_at: Tensor) -> Tensor:
        return ~band.hides(key_at - query_at)

    return create_block_mask(seen, None, None, queries, keys, device)


@lru_cache(maxsize=32)
def _cached_blocks(band: Band, queries: int, keys: int, device: torch.device) -> Any:
    """Return `_blocks`, made once; also within inference mode, fit for training later."""
    with torch.inference_mode(False):
        return _blocks(band, queries, keys, device)


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention)
