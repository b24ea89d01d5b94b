"""minGRU: against its recurrence and the paper's logarithmic form, forward and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.mixing.min_gru import MinGRU
from nas.blocks.mixing.scan import linear_scan


def plain(block: MinGRU, data: Tensor) -> Tensor:
    projected = block.input(block.norm_before(data)).unflatten(-1, (-1, 2, block.state_size))
    directions = []
    for direction in range(projected.shape[2]):
        gate, candidate = projected[:, :, direction].unbind(-2)
        candidate = torch.where(candidate >= 0, candidate + 0.5, candidate.sigmoid())
        state, states = torch.zeros_like(gate[:, 0]), {}
        places = range(data.shape[1])
        for t in places if direction == 0 else reversed(places):
            state = (1 - gate[:, t].sigmoid()) * state + gate[:, t].sigmoid() * candidate[:, t]
            states[t] = state
        directions.append(torch.stack([states[t] for t in places], dim=1))
    return data + block.output(torch.cat(directions, dim=-1))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("tokens", [1, 16, 40])
def test_equals_the_recurrence(tokens: int, causal: bool) -> None:
    torch.manual_seed(0)
    block = MinGRU(6, state_size=5, causal=causal).double()
    data = torch.randn(2, tokens, 6, dtype=torch.float64, requires_grad=True)
    ours, theirs = block(data), plain(block, data)
    torch.testing.assert_close(ours, theirs)
    inputs = [data, *block.parameters()]
    weights = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, weights), torch.autograd.grad(theirs, inputs, weights), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_the_scan_equals_the_papers_logarithmic_form() -> None:
    torch.manual_seed(0)
    gate, candidate = torch.randn(2, 2, 50, 3, dtype=torch.float64).unbind(0)
    log_keep = (-F.softplus(gate)).cumsum(dim=1)
    log_value = -F.softplus(-gate) + candidate
    expected = (log_keep + (log_value - log_keep).logcumsumexp(dim=1)).exp()
    torch.testing.assert_close(linear_scan((-gate).sigmoid(), gate.sigmoid() * candidate.exp()), expected)


def test_padding_on_either_side_changes_nothing() -> None:
    torch.manual_seed(0)
    block = MinGRU(6).double()
    data, mask = torch.randn(1, 40, 6, dtype=torch.float64), torch.ones(1, 40)
    mask[:, :3] = mask[:, -9:] = 0
    torch.testing.assert_close(block(data, mask)[:, 3:-9], block(data[:, 3:-9]))


def test_cost_counts_the_scan_which_torch_does_not_see() -> None:
    block = MinGRU(6, state_size=5)
    assert block.flops_per_token(9) == 2 * (6 * 20 + 10 * 6 + 10)
