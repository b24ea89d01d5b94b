"""Talking heads and per-dimension scales: equal to multi-head attention at the start, and what they add."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.attention.per_dim_scale import PerDimScaleAttention
from nas.blocks.attention.softmax import merge_heads, split_heads
from nas.blocks.attention.talking_heads import TalkingHeadsAttention


def data() -> tuple[Tensor, Tensor]:
    mask = torch.ones(2, 9)
    mask[1, 6:] = 0
    return torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(0)).double(), mask


def pair(cls: type[MultiHeadAttention], **settings: Any) -> tuple[Any, MultiHeadAttention]:
    """Return a block and multi-head attention with the same projections."""
    block, plain = cls(16, 4, **settings).double(), MultiHeadAttention(16, 4, **settings).double()
    plain.load_state_dict({k: v for k, v in block.state_dict().items() if k in plain.state_dict()})
    return block, plain


def test_both_start_as_multi_head_attention() -> None:
    x, mask = data()
    for cls in (TalkingHeadsAttention, PerDimScaleAttention):
        for settings in ({}, {"num_kv_heads": 2, "causal": True}, {"position": "alibi", "soft_cap": 2.0}):
            block, plain = pair(cls, **settings)
            torch.testing.assert_close(block(x, mask), plain(x, mask))


def test_heads_talk_before_and_after_the_softmax() -> None:
    block, _ = pair(TalkingHeadsAttention, position="none", norm="none")
    with torch.no_grad():
        for mixture in (block.before_softmax, block.after_softmax):
            mixture.copy_(torch.randn(4, 4))
    x, mask = data()
    x.requires_grad_()
    query, key, value = (split_heads(part, 4) for part in block.qkv(x).chunk(3, dim=-1))
    scores = query @ key.transpose(-2, -1) / 2
    mixed = [sum(scores[:, h] * block.before_softmax[h, g] for h in range(4)) for g in range(4)]
    weights = [m.masked_fill(mask[:, None] == 0, -torch.inf).softmax(-1) for m in mixed]
    spoken = [sum(weights[h] * block.after_softmax[h, g] for h in range(4)) for g in range(4)]
    expected = block.output(merge_heads(torch.stack(spoken, dim=1) @ value))
    out = block.mix(x, mask)
    torch.testing.assert_close(out, expected)
    inputs = [x, *block.parameters()]
    ours, theirs = (torch.autograd.grad(y.square().sum(), inputs, retain_graph=True) for y in (out, expected))
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference)


def test_a_scale_multiplies_its_feature_of_every_query() -> None:
    block, plain = pair(PerDimScaleAttention, position="none")
    x, mask = data()
    with torch.no_grad():
        block.per_dim_scale[2] = 1.5
        factor = math.log(1 + math.exp(1.5)) / math.log(2)
        plain.qkv.weight.view(3, 4, 4, 16)[0, :, 2] *= factor
    torch.testing.assert_close(block(x, mask), plain(x, mask))
