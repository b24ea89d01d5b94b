"""Relative attention: scores written out by query, key and distance; memory; segments."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nas.blocks.attention.relative import (
    RelativeAttention,
    Segments,
    attend_relative,
    encode_distances,
    shift,
)
from nas.blocks.attention.softmax import merge_heads, split_heads
from nas.blocks.transformer.xl import TransformerXLBlock
from nas.errors import InputError

B, T, D, H, K = 2, 7, 16, 4, 4


def block(**settings: Any) -> RelativeAttention:
    torch.manual_seed(0)
    made = RelativeAttention(D, H, norm="none", **settings).double()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("_bias"):
                parameter.normal_()
    return made


def data(tokens: int = T) -> tuple[Tensor, Tensor]:
    mask = torch.ones(B, tokens)
    mask[1, -2:] = 0
    generator = torch.Generator().manual_seed(1)
    return torch.randn(B, tokens, D, generator=generator, dtype=torch.float64), mask


def plain(attention: RelativeAttention, x: Tensor, memory: Tensor | None, seen: Tensor) -> Tensor:
    """Compute every score by itself; ``seen`` is [B, T, M + T]."""
    read = x if memory is None else torch.cat([memory, x], dim=1)
    weights = attention.qkv.weight.chunk(3)
    query, key, value = (split_heads(y @ w.T, H) for y, w in zip((x, read, read), weights, strict=True))
    skipped = read.shape[1] - x.shape[1]
    rows = []
    for i in range(x.shape[1]):
        scores = []
        for j in range(read.shape[1]):
            distance = torch.tensor([i + skipped - j])
            place = attention.distances(encode_distances(distance, D).double()).view(H, K)
            content = query[:, :, i] + (0 if attention.content_bias is None else attention.content_bias)
            where = query[:, :, i] + (0 if attention.position_bias is None else attention.position_bias)
            scores.append(((content * key[:, :, j]).sum(-1) + (where * place).sum(-1)) / math.sqrt(K))
        shown = torch.stack(scores, dim=-1).masked_fill(~seen[:, None, i].bool(), -torch.inf)
        rows.append((shown.softmax(-1)[..., None] * value).sum(2))
    return attention.output(merge_heads(torch.stack(rows, dim=2)))


@pytest.mark.parametrize("length", [None, 1, 5])
@pytest.mark.parametrize("settings", [{}, {"causal": True}, {"biases": False}])
def test_scores_are_of_content_and_distance(settings: dict[str, Any], length: int | None) -> None:
    attention, (x, mask) = block(**settings), data()
    memory = None if length is None else torch.randn(B, length, D, dtype=torch.float64)
    seen = mask[:, None].expand(-1, T, -1)
    seen = seen.tril() if attention.causal else seen
    if length is not None:
        seen = torch.nn.functional.pad(seen, (length, 0), value=1.0)
    x.requires_grad_()
    out, expected = attention.mix(x, mask, memory), plain(attention, x, memory, seen)
    torch.testing.assert_close(out, expected, atol=1e-7, rtol=1e-6)
    inputs = [x, *attention.parameters()]
    ours, theirs = (torch.autograd.grad(y.square().sum(), inputs) for y in (out, expected))
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-6, rtol=1e-5)


def test_a_memory_is_the_sequence_before() -> None:
    """Two causal halves, the first handed on, are the whole: what Transformer-XL is for."""
    attention, (x, _) = block(causal=True), data(10)
    whole = attention(x)
    second = attention(x[:, 6:], None, x[:, :6])
    torch.testing.assert_close(second, whole[:, 6:])
    memory = x[:, :6].clone().requires_grad_()
    attention(x[:, 6:].requires_grad_(), None, memory).sum().backward()
    assert memory.grad is None


def test_moving_all_tokens_changes_nothing() -> None:
    attention, (x, _) = block(), data(12)
    mask = torch.zeros(B, 12)
    mask[:, 3:9] = 1
    torch.testing.assert_close(attention.mix(x, mask)[:, 3:9], attention.mix(x[:, 3:9], None))


def test_shift_moves_each_row_by_one_more() -> None:
    scores = torch.arange(3 * 8).view(3, 8)
    expected = [[int(scores[i, 3 - i + j]) for j in range(5)] for i in range(3)]
    assert shift(scores, 5).tolist() == expected


def test_segments_add_one_of_two_products() -> None:
    generator = torch.Generator().manual_seed(2)
    query, key, value = torch.randn(3, B, H, T, K, generator=generator)
    places = torch.zeros(1, H, 2 * T, K)
    encoding, bias = torch.randn(2, H, K, generator=generator), torch.randn(H, K, generator=generator)
    different = torch.rand(B, T, T, generator=generator) > 0.5
    out = attend_relative(query, key, value, places, None, None, None, Segments(different, encoding, bias))
    asked = query + bias[:, None]
    added = torch.stack([(asked * encoding[s, :, None]).sum(-1) for s in (0, 1)])
    chosen = torch.where(different[:, None], added[1][..., None], added[0][..., None])
    weights = ((query @ key.transpose(-2, -1) + chosen) / math.sqrt(K)).softmax(-1)
    torch.testing.assert_close(out, weights @ value)


@pytest.mark.parametrize("tokens", [32, 63])
def test_cost_is_the_counted_one_of_a_single_example(tokens: int) -> None:
    """Examples of a batch share the distances' projection, so that more of them cost less each."""
    for module in (RelativeAttention(32, 4), TransformerXLBlock(32, 4)):
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            module(torch.randn(1, tokens, 32))
        assert module.flops_per_token(tokens) == pytest.approx(counter.get_total_flops() / tokens)


def test_the_layer_is_post_norm_attention_and_feed_forward() -> None:
    layer, (x, mask) = TransformerXLBlock(D, H, inner_size=24).double(), data()
    attention, feedforward = layer.attention, layer.feedforward
    read = attention.norm_after(x + attention.mix(x, mask))
    expected = feedforward.norm_after(read + feedforward.output(feedforward.inner(read).relu()))
    torch.testing.assert_close(layer(x, mask), expected)


def test_a_memory_of_another_width_or_batch_is_refused() -> None:
    attention, (x, _) = block(), data()
    for memory in (x[:1], x[..., :3], x[0]):
        with pytest.raises(InputError, match=r"memory of shape .* does not fit data of shape \[2, 7, 16\]"):
            attention(x, None, memory)
