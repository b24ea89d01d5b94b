"""Attention's two forms are one function, forward and backward."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.attention import softmax
from nas.blocks.attention.softmax import (
    attend,
    attend_plain,
    attention_scores,
    attention_weights,
    merge_heads,
    split_heads,
)


def heads(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, dtype=dtype).requires_grad_()


def bias_of(form: str, tokens: int) -> Tensor | None:
    if form == "none":
        return None
    shape = {"keys": (2, 1, 1, tokens), "square": (2, 1, tokens, tokens), "heads": (2, 4, tokens, tokens)}
    hidden = torch.rand(shape[form]) < 0.4
    hidden[..., 0] = False  # every query has a key
    return torch.zeros(shape[form]).masked_fill(hidden, -1e9)


@pytest.mark.parametrize("form", ["none", "keys", "square", "heads"])
@pytest.mark.parametrize("tokens", [1, 7, 64, 600])
def test_plain_and_fused_agree_forward_and_backward(form: str, tokens: int) -> None:
    torch.manual_seed(0)
    q, k, v = (heads(2, 4, tokens, 8) for _ in range(3))
    bias, seed = bias_of(form, tokens), torch.randn(2, 4, tokens, 8)
    plain, fused = attend_plain(q, k, v, bias, 0.0), F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    torch.testing.assert_close(plain, fused, atol=2e-6, rtol=1e-5)
    for a, b in zip(*(torch.autograd.grad((o * seed).sum(), (q, k, v)) for o in (plain, fused)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("dtype", "tokens"), [(torch.float32, 16), (torch.bfloat16, 16), (torch.bfloat16, 600)]
)
def test_attend_is_the_plain_form(dtype: torch.dtype, tokens: int) -> None:
    torch.manual_seed(0)
    q, k, v = (heads(1, 2, tokens, 8) for _ in range(3))
    exact = attend_plain(q, k, v, None, 0.0)
    got = attend(q.to(dtype), k.to(dtype), v.to(dtype), None)
    tolerance = 1e-5 if dtype is torch.float32 else 0.03
    torch.testing.assert_close(got.float(), exact, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_causal_hides_later_keys_forward_and_backward(dtype: torch.dtype, masked: bool) -> None:
    torch.manual_seed(0)
    q, k, v = (heads(2, 4, 9, 8) for _ in range(3))
    bias = bias_of("keys", 9) if masked else None
    scores = attention_scores(q, k, bias).masked_fill(torch.ones(9, 9).triu(1).bool(), float("-inf"))
    expected, seed = scores.softmax(-1) @ v, torch.randn(2, 4, 9, 8)
    bias = None if bias is None else bias.to(dtype)
    got = attend(q.to(dtype), k.to(dtype), v.to(dtype), bias, causal=True).float()
    tolerance = 1e-5 if dtype is torch.float32 else 0.05
    torch.testing.assert_close(got, expected, atol=tolerance, rtol=tolerance)
    for a, b in zip(
        *(torch.autograd.grad((o * seed).sum(), (q, k, v)) for o in (got, expected)), strict=True
    ):
        torch.testing.assert_close(a, b, atol=2 * tolerance, rtol=2 * tolerance)


def test_soft_cap_bounds_scores_and_leaves_small_ones() -> None:
    q = torch.tensor([[[[1e-3], [50.0], [-50.0]]]])
    scores = attention_scores(q, torch.ones(1, 1, 1, 1), None, soft_cap=2.0).flatten()
    torch.testing.assert_close(scores, torch.tensor([1e-3, 2.0, -2.0]), atol=1e-6, rtol=1e-5)
    weights = attention_weights(q, q, None, soft_cap=2.0)
    torch.testing.assert_close(attend(q, q, q, None, soft_cap=2.0), weights @ q)


def test_plain_form_is_for_short_half_precision() -> None:
    longest = softmax.PLAIN_UP_TO
    assert softmax.use_plain(heads(1, 1, longest, 2, dtype=torch.bfloat16))
    assert not softmax.use_plain(heads(1, 1, longest + 1, 2, dtype=torch.bfloat16))
    assert not softmax.use_plain(heads(1, 1, longest, 2))
    larger = softmax.PLAIN_PER_FEATURE * 64
    assert softmax.use_plain(heads(1, 1, larger, 64, dtype=torch.bfloat16))
    assert not softmax.use_plain(heads(1, 1, larger + 1, 64, dtype=torch.bfloat16))


def test_an_exported_graph_is_for_any_length_in_half_precision_too() -> None:
    class Attend(nn.Module):
        def forward(self, heads: Tensor) -> Tensor:
            return attend(heads, heads, heads, None)

    short, long = (torch.randn(1, 2, tokens, 8, dtype=torch.bfloat16) for tokens in (64, 600))
    sizes = ({2: torch.export.Dim("tokens", min=2)},)
    exported = torch.export.export(Attend(), (short,), dynamic_shapes=sizes, strict=False).module()
    for heads_ in (short, long):
        torch.testing.assert_close(exported(heads_), Attend()(heads_), atol=0.03, rtol=0.03)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_keeps_the_mean(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    q, k = torch.zeros(1, 1, 400, 4, dtype=dtype), torch.zeros(1, 1, 400, 4, dtype=dtype)
    out = attend(q, k, torch.ones(1, 1, 400, 4, dtype=dtype), None, dropout=0.5)
    assert out.float().mean().item() == pytest.approx(1.0, abs=0.02)
    assert out.float().std() > 0.01


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_key_heads_are_repeated_in_order(groups: int) -> None:
    torch.manual_seed(0)
    q, k, v = heads(2, 4, 5, 8), heads(2, groups, 5, 8), heads(2, groups, 5, 8)
    out = attend(q, k, v, None)
    for head in range(4):
        group = head * groups // 4
        weights = attention_weights(q[:, head : head + 1], k[:, group : group + 1], None)
        torch.testing.assert_close(out[:, head : head + 1], weights @ v[:, group : group + 1])


def test_heads_split_and_merge() -> None:
    data = torch.randn(2, 5, 12)
    split = split_heads(data, 3)
    assert split.shape == (2, 3, 5, 4)
    assert torch.equal(split[:, 1], data[..., 4:8])
    assert torch.equal(merge_heads(split), data)
