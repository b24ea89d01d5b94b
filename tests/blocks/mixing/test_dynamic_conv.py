"""Lightweight and dynamic convolution: against a loop over neighbours, forward and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from nas.blocks.mixing.dynamic_conv import DynamicConv, Kernel
from nas.errors import InputError


def plain(block: DynamicConv, data: Tensor, mask: Tensor) -> Tensor:
    features = F.glu(block.input(block.norm_before(data)))
    heads = features.unflatten(-1, (block.num_heads, -1))
    size, before = block.kernel_size, block.around[0]
    mixed = torch.zeros_like(heads)
    for t in range(data.shape[1]):
        for head in range(block.num_heads):
            rows = slice(head * size, (head + 1) * size)
            if block.make_weights is None:
                weights = block.weights[head].softmax(-1).expand(data.shape[0], -1)
            else:
                weights = (features[:, t] @ block.make_weights.weight[rows].T).softmax(-1)
            for j in range(size):
                s = t + j - before
                if 0 <= s < data.shape[1]:
                    mixed[:, t, head] += weights[:, j, None] * heads[:, s, head] * mask[:, s, None]
    return data + block.output(mixed.flatten(2))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kernel", ["dynamic", "lightweight"])
def test_equals_a_loop_over_neighbours(kernel: Kernel, causal: bool) -> None:
    torch.manual_seed(0)
    block = DynamicConv(8, 2, kernel_size=3, kernel=kernel, causal=causal)
    data, mask = torch.randn(2, 5, 8, requires_grad=True), torch.tensor([[1] * 5, [0, 1, 1, 1, 0]])
    inputs = [data, *block.parameters()]
    ours, theirs = block(data, mask), plain(block, data, mask)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(data)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, weights), torch.autograd.grad(theirs, inputs, weights), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_a_constant_stays_the_same_inside() -> None:
    block = DynamicConv(8, 2, kernel_size=3, gate=False, norm="none")
    torch.nn.init.eye_(block.input.weight)
    torch.nn.init.eye_(block.output.weight)
    data = torch.ones(1, 6, 8)
    torch.testing.assert_close(block(data)[:, 1:-1] - data[:, 1:-1], data[:, 1:-1])


def test_cost_is_the_counted_one_and_the_filters() -> None:
    block = DynamicConv(32, 4)
    with FlopCounterMode(display=False) as counter:
        block(torch.randn(1, 10, 32))
    assert block.flops_per_token(10) == counter.get_total_flops() / 10 + 2 * 32 * 7


def test_even_kernel_is_refused_unless_causal() -> None:
    with pytest.raises(InputError, match="kernel_size=4 must be odd"):
        DynamicConv(8, 2, kernel_size=4)
    DynamicConv(8, 2, kernel_size=4, causal=True)
