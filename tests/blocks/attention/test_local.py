"""Local attention: its banded and its chunked form against a loop over tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nas.blocks.attention.local import CHUNKED_FROM, Chunks, LocalAttention, attend_banded, attend_chunked
from nas.blocks.attention.softmax import Band
from nas.errors import InputError
from nas.masks import attention_bias

CHANGES: list[dict[str, Any]] = [
    {"num_kv_heads": 2},
    {"soft_cap": 1.0},
    *({"position": scheme} for scheme in ("rope", "alibi", "t5", "sinusoid", "none")),
]


def reference(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, band: Band) -> Tensor:
    """Average, for each token, the values of its window alone."""
    batch, heads, tokens, size = q.shape
    if bias is None:
        bias = torch.zeros(())
    bias = bias.expand(batch, heads, tokens, tokens)
    outs = []
    for t in range(tokens):
        near = slice(max(0, t - band.before), t + band.after + 1)
        scores = (q[:, :, t, None] * k[:, :, near]).sum(-1) / size**0.5 + bias[:, :, t, near]
        outs.append((scores.softmax(-1)[..., None] * v[:, :, near]).sum(2))
    return torch.stack(outs, dim=2)


def mask_of(form: str, tokens: int) -> Tensor | None:
    """Return a mask in which every token sees itself at least, as far as the form allows."""
    padding = torch.ones(2, tokens)
    padding[1, tokens // 2 :] = 0
    if form == "square":
        return torch.maximum((torch.rand(2, tokens, tokens) < 0.7).float(), torch.eye(tokens))
    return {"none": None, "padding": padding}[form]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("form", ["none", "padding", "square"])
@pytest.mark.parametrize(
    ("tokens", "size", "window"), [(23, 4, 4), (24, 4, 4), (21, 8, 3), (9, 4, 1), (5, 8, 8)]
)
def test_both_forms_equal_a_loop_forward_and_backward(
    form: str, tokens: int, size: int, window: int, causal: bool
) -> None:
    torch.manual_seed(0)
    band = Band(window, 0 if causal else window)
    q, k, v = (torch.randn(2, 3, tokens, 8, requires_grad=True) for _ in range(3))
    bias = attention_bias(mask_of(form, tokens), torch.float32)
    expected = reference(q, k, v, bias, band)
    real = torch.ones(2, tokens) if form != "padding" else mask_of(form, tokens)
    assert real is not None
    seed = torch.randn_like(expected) * real[:, None, :, None]
    wanted = torch.autograd.grad((expected * seed).sum(), (q, k, v))
    for actual in (
        attend_banded(q, k, v, bias, band),
        attend_chunked(q, k, v, bias, Chunks(tokens, size, band)),
    ):
        torch.testing.assert_close(actual, expected, atol=2e-6, rtol=1e-5)
        got = torch.autograd.grad((actual * seed).sum(), (q, k, v))
        for a, b in zip(got, wanted, strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_long_sequence_takes_chunks_and_changes_nothing(
    change: dict[str, Any], causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    block = LocalAttention(32, 4, window=5, causal=causal, **change)
    data, mask = torch.randn(2, 301, 32), torch.ones(2, 301)
    mask[0, 200:] = 0
    assert block.flops_per_token(301) < block.flops_per_token(CHUNKED_FROM - 1)
    chunked = block(data, mask)
    monkeypatch.setattr("nas.blocks.attention.local.CHUNKED_FROM", 10**6)
    banded, parameters, seed = block(data, mask), list(block.parameters()), torch.randn_like(data)
    torch.testing.assert_close(chunked, banded, atol=1e-5, rtol=1e-5)
    seed = seed * mask[..., None]
    for a, b in zip(
        *(torch.autograd.grad((o * seed).sum(), parameters) for o in (chunked, banded)), strict=True
    ):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("tokens", [40, 300])
def test_only_the_window_is_seen(tokens: int, causal: bool) -> None:
    torch.manual_seed(0)
    block = LocalAttention(32, 4, window=3, causal=causal)
    data = torch.randn(1, tokens, 32)
    changed = data.clone()
    changed[:, 20] = torch.randn(32)
    differs = (block(changed) - block(data)).abs().amax(-1)[0] > 1e-6
    assert differs.nonzero().flatten().tolist() == list(range(20 if causal else 17, 24))


def test_as_wide_as_the_sequence_it_is_full_attention() -> None:
    torch.manual_seed(0)
    block = LocalAttention(32, 4, window=12)
    data = torch.randn(1, 12, 32)
    full = super(LocalAttention, block)._attend
    assert block.label == "local"
    q, k, v = block._project(data)
    torch.testing.assert_close(block._attend(q, k, v, None), full(q, k, v, None))


def test_window_must_be_positive() -> None:
    with pytest.raises(InputError, match="window=0 must be greater than 0"):
        LocalAttention(32, 4, window=0)
