"""Recurrences in chunks: against loops over tokens, forward and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nas.blocks.mixing.scan import both_ways, carry, chunk_size, linear_scan, turn_back


def loop(decay: Tensor, value: Tensor) -> Tensor:
    states = [value[:, 0]]
    for t in range(1, value.shape[1]):
        states.append(decay[:, t] * states[-1] + value[:, t])
    return torch.stack(states, dim=1)


@pytest.mark.parametrize("tokens", [1, 2, 15, 16, 17, 33, 300])
def test_linear_scan_equals_a_loop(tokens: int) -> None:
    torch.manual_seed(0)
    decay = torch.rand(2, tokens, 3, dtype=torch.float64)
    decay[:, tokens // 2] = 0  # forgets everything: no trouble without logarithms
    value, weights = torch.randn_like(decay), torch.randn_like(decay)
    inputs = [decay.requires_grad_(), value.requires_grad_()]
    fast, plain = linear_scan(*inputs), loop(*inputs)
    inputs = inputs[1:] if tokens == 1 else inputs  # nothing decays before the first token
    torch.testing.assert_close(fast, plain)
    for ours, theirs in zip(
        torch.autograd.grad(fast, inputs, weights), torch.autograd.grad(plain, inputs, weights), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("chunks", [1, 2, 5, 8])
def test_carry_is_the_state_before_each_chunk(chunks: int) -> None:
    torch.manual_seed(0)
    decay, value = (
        torch.rand(2, chunks, 1, dtype=torch.float64),
        torch.randn(2, chunks, 3, dtype=torch.float64),
    )
    before = carry(decay, value)
    assert not before[:, 0].any()
    torch.testing.assert_close(before[:, 1:], loop(decay, value)[:, :-1])


def test_chunks_are_even() -> None:
    assert [chunk_size(tokens, 64) for tokens in (1, 64, 65, 70, 300)] == [1, 64, 33, 35, 60]


def test_the_second_direction_is_turned_there_and_back() -> None:
    data = torch.randn(2, 5, 3)
    both = both_ways(data, causal=False)
    torch.testing.assert_close(both[:, :, 1], data.flip(1))
    torch.testing.assert_close(turn_back(both), torch.stack([data, data], dim=2))
    assert both_ways(data, causal=True).shape == (2, 5, 1, 3)
