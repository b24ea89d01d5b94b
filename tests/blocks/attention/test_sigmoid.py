"""Sigmoid attention: against its equation; weights need not sum to one."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nas.blocks.attention.sigmoid import SigmoidAttention, keys_seen


def reference(block: SigmoidAttention, data: Tensor, real: list[int]) -> Tensor:
    """Compute one weight after the other."""
    query, key, value = block._project(block.norm_before(data))
    out = torch.zeros_like(query)
    for row, count in enumerate(real):
        for t in range(data.shape[1]):
            seen = range(min(t + 1, count) if block.causal else count)
            for s in seen:
                score = (query[row, :, t] * key[row, :, s]).sum(-1) / math.sqrt(8) - math.log(len(seen))
                out[row, :, t] = out[row, :, t] + torch.sigmoid(score)[:, None] * value[row, :, s]
    return data + block.output(out.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("causal", [False, True])
def test_equals_the_equation_forward_and_backward(causal: bool) -> None:
    torch.manual_seed(0)
    block = SigmoidAttention(32, 4, causal=causal)
    data, mask = torch.randn(2, 6, 32), torch.ones(2, 6)
    mask[0, 4:] = 0
    actual, expected = block(data, mask), reference(block, data, [4, 6])
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    parameters, seed = list(block.parameters()), torch.randn_like(data)
    for a, b in zip(
        *(torch.autograd.grad((o * seed).sum(), parameters) for o in (actual, expected)), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_weights_need_not_sum_to_one() -> None:
    """With one value everywhere, a softmax returns it whatever the scores; here their size tells."""
    block = SigmoidAttention(8, 1, position="none", norm="none")
    with torch.no_grad():
        block.qkv.weight.copy_(torch.eye(8).repeat(3, 1))
        block.output.weight.copy_(torch.eye(8))
    sums = [block.mix(torch.full((1, 4, 8), x), None)[0, 0, 0].item() / x for x in (0.01, 1.0, 10.0)]
    assert sums[0] == pytest.approx(4 / 5, abs=0.01)  # 4 keys with sigmoid(0 - log 4) = 1/5 each
    assert sums[0] < sums[1] < sums[2]
    assert sums[2] == pytest.approx(4)


def test_without_a_real_key_nothing_is_read() -> None:
    block, data = SigmoidAttention(32, 4), torch.randn(1, 5, 32)
    torch.testing.assert_close(block(data, torch.zeros(1, 5)), data)


def test_keys_are_counted_for_every_form_of_mask() -> None:
    heads = torch.zeros(2, 1, 4, 2)
    padding = torch.tensor([[1.0, 1, 1, 0], [0, 0, 0, 0]])
    assert keys_seen(None, heads, heads, causal=False).flatten().tolist() == [4]
    assert keys_seen(None, heads, heads, causal=True).flatten().tolist() == [1, 2, 3, 4]
    assert keys_seen(padding, heads, heads, causal=False).flatten().tolist() == [3, 1]
    square = padding[:, None].expand(-1, 4, -1)
    for form in (padding, square, square.contiguous().bool(), square[:, None]):
        counted = keys_seen(form, heads, heads, causal=True).expand(2, 1, 4, 1).flatten().tolist()
        assert counted == [1, 2, 3, 3, 1, 1, 1, 1]
