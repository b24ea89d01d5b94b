"""Linformer: against the written-out form, its length, and what it reduces to."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.attention.linformer import LinformerAttention
from nas.errors import InputError

DATA = torch.randn(2, 6, 16, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1.0] * 6, [1.0] * 4 + [0.0] * 2])


def make(**settings: object) -> LinformerAttention:
    torch.manual_seed(0)
    return LinformerAttention(16, 2, 6, bias=True, norm="none", **settings)  # type: ignore[arg-type]


def written_out(block: LinformerAttention, shared: bool) -> Tensor:
    rows = block.qkv.weight.split(16), block.qkv.bias.split(16)
    mixed = torch.einsum("btd,tr->brd", DATA * MASK[..., None], block.mixtures)
    parts = (DATA, mixed, mixed) if shared else (DATA, mixed[:, :3], mixed[:, 3:])
    q, k, v = (
        F.linear(x, w, b).view(2, -1, 2, 8).transpose(1, 2) for x, w, b in zip(parts, *rows, strict=True)
    )
    heads = ((q @ k.mT / 8**0.5).softmax(-1) @ v).transpose(1, 2).reshape(2, 6, 16)
    return F.linear(heads, block.output.weight, block.output.bias)


@pytest.mark.parametrize("shared", [True, False])
def test_equals_the_written_out_form_forward_and_backward(shared: bool) -> None:
    block = make(rank=3, shared_projection=shared)
    results = [block.mix(DATA, MASK), written_out(block, shared)]
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)
    grads = [torch.autograd.grad((r * DATA.cos()).sum(), list(block.parameters())) for r in results]
    for actual, expected in zip(*grads, strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_as_many_mixtures_as_tokens_can_be_full_attention() -> None:
    block = make(rank=6)
    torch.nn.init.eye_(block.mixtures)
    q, k, v = (x.view(2, 6, 2, 8).transpose(1, 2) for x in block.qkv(DATA).split(16, dim=-1))
    expected = block.output(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(block.mix(DATA, None), expected, atol=1e-5, rtol=1e-5)


def test_a_shorter_input_is_a_padded_one() -> None:
    block = make(rank=3)
    padded = block.mix(DATA, torch.tensor([[1.0] * 4 + [0.0] * 2] * 2))
    torch.testing.assert_close(block.mix(DATA[:, :4], None), padded[:, :4], atol=1e-6, rtol=1e-6)


def test_cost_is_linear_in_the_length() -> None:
    block = make(rank=3)
    assert block.mix_flops(600) == pytest.approx(block.mix_flops(6000), rel=0.05)


def test_a_longest_input_is_needed_and_kept() -> None:
    with pytest.raises(InputError, match="linformer: max_seq_length=None must be an integer"):
        LinformerAttention(16, 2)
    with pytest.raises(InputError, match="linformer: data has T=6 tokens: at most max_seq_length=5"):
        LinformerAttention(16, 2, 5)(DATA)
