"""From [B, T, D] to heads: one linear layer for queries, keys and values."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention.softmax import split_heads


def project_heads(
    qkv: nn.Linear, data: Tensor, key_value: Tensor | None, num_heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return query [B, H, T, K], key and value [B, H, S, K].

    Args:
        qkv: from D to 3 H K features: queries, keys, values.
        data: [B, T, D], what queries are made from.
        key_value: [B, S, D], what keys and values are made from; None: ``data``.
        num_heads: H.
    """
    if key_value is None:
        query, key, value = qkv(data).chunk(3, dim=-1)
    else:
        rows, bias = qkv.out_features // 3, qkv.bias
        query = F.linear(data, qkv.weight[:rows], None if bias is None else bias[:rows])
        rest = F.linear(key_value, qkv.weight[rows:], None if bias is None else bias[rows:])
        key, value = rest.chunk(2, dim=-1)
    return split_heads(query, num_heads), split_heads(key, num_heads), split_heads(value, num_heads)
