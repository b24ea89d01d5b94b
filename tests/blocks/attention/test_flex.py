"""FlexAttention's form: the same scores and windows as the plain one."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch

from nas.blocks.attention.flex import FLEX_FROM, attend_flex, flex_fits
from nas.blocks.attention.local import LocalAttention
from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.attention.softmax import Band
from nas.masks import SelfAttentionMask

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
VARIANTS: list[tuple[type[MultiHeadAttention], dict[str, Any]]] = [
    (LocalAttention, {"window": 5}),
    (LocalAttention, {"window": 5, "causal": True, "position": "t5", "num_kv_heads": 2}),
    (MultiHeadAttention, {"position": "alibi", "soft_cap": 2.0}),
    (MultiHeadAttention, {"position": "t5", "causal": True, "num_kv_heads": 1}),
]


def flex(block: MultiHeadAttention, data: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    query, key, value = block._project(data)
    band = block._band if isinstance(block, LocalAttention) else Band(data.shape[1], 0)
    if not isinstance(block, LocalAttention) and not block.causal:
        band = None  # type: ignore[assignment]
    return attend_flex(query, key, value, mask, block.positions, band, block.soft_cap)


@pytest.mark.parametrize(("kind", "settings"), VARIANTS)
def test_equals_the_plain_form(
    kind: type[MultiHeadAttention], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU in PyTorch's own unfused form, which has no backward pass there."""
    from torch.nn.attention.flex_attention import flex_attention

    monkeypatch.setattr("nas.blocks.attention.flex._compiled", lambda: flex_attention)
    torch.manual_seed(0)
    block, data, mask = kind(64, 4, **settings), torch.randn(2, 70, 64), torch.ones(2, 70)
    mask[0, 60:] = 0
    with torch.no_grad():
        expected = block._attend(*block._project(data), mask)
        real = mask[:, None, :, None].bool()
        for form in (mask, SelfAttentionMask()(data, mask)):
            got = flex(block, data, form)
            torch.testing.assert_close(got * real, expected * real, atol=1e-5, rtol=1e-5)


def test_a_cpu_an_uneven_mask_and_short_sequences_do_without() -> None:
    assert not flex_fits(torch.zeros(1, 1, FLEX_FROM, 16), None, 0.0)


@pytest.mark.gpu
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs triton")
@pytest.mark.parametrize(("kind", "settings"), VARIANTS)
def test_is_chosen_on_a_gpu_and_equals_the_plain_form_forward_and_backward(
    kind: type[MultiHeadAttention], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    block = kind(64, 4, **settings).cuda()
    data, mask = torch.randn(2, FLEX_FROM + 7, 64).cuda(), torch.ones(2, FLEX_FROM + 7).cuda()
    mask[0, 900:] = 0
    seed = torch.randn_like(data) * mask[..., None]
    parameters = list(block.parameters())
    assert flex_fits(block._project(data)[0], mask, 0.0)
    fused = block(data, mask)
    got = torch.autograd.grad((fused * seed).sum(), parameters)
    monkeypatch.setattr("nas.blocks.attention.mha.flex_fits", lambda *_: False)
    monkeypatch.setattr("nas.blocks.attention.local.flex_fits", lambda *_: False)
    plain = block(data, mask)
    wanted = torch.autograd.grad((plain * seed).sum(), parameters)
    torch.testing.assert_close(fused * mask[..., None], plain * mask[..., None], atol=2e-2, rtol=2e-2)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=0.05 * b.abs().max().item(), rtol=0.05)
