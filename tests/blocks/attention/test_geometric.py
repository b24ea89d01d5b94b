"""Geometric attention: against a plain loop over keys by their distance."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nas.blocks.attention.geometric import GeometricAttention, nearest_match


def loop(scores: Tensor) -> Tensor:
    """Walk away from every query: the later neighbour, the earlier one, the next ones."""
    match, weights = torch.sigmoid(scores), torch.zeros_like(scores)
    tokens = scores.shape[-1]
    for i in range(tokens):
        missed = torch.ones(scores.shape[:2])
        for distance in range(1, tokens):
            for j in (i + distance, i - distance):
                if 0 <= j < tokens:
                    weights[..., i, j] = match[..., i, j] * missed
                    missed = missed * (1 - match[..., i, j])
    return weights


@pytest.mark.parametrize("tokens", [1, 2, 9, 12])
def test_equals_a_loop_forward_and_backward(tokens: int) -> None:
    torch.manual_seed(0)
    scores = (2 * torch.randn(2, 3, tokens, tokens)).requires_grad_()
    actual, expected, seed = nearest_match(scores), loop(scores), torch.randn_like(scores)
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-5)
    if tokens > 1:
        got, wanted = (torch.autograd.grad((x * seed).sum(), scores)[0] for x in (actual, expected))
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


def test_the_nearest_match_takes_all_and_the_later_of_two() -> None:
    scores = torch.full((1, 1, 7, 7), -30.0)
    scores[..., 0, [3, 5]] = 30.0  # 3 is nearer
    scores[..., 3, [2, 4, 3]] = 30.0  # both as near: 4; itself never
    scores[..., 6, [0, 1]] = 30.0
    weights = nearest_match(scores)[0, 0]
    assert [weights[i].argmax().item() for i in (0, 3, 6)] == [3, 4, 1]
    torch.testing.assert_close(weights[[0, 3, 6]].amax(-1), torch.ones(3))
    assert weights.diagonal().max() < 1e-25
    torch.testing.assert_close(weights[[1, 2, 4, 5]], torch.zeros(4, 7))


def test_many_matches_before_do_not_blur_a_row() -> None:
    """Hundreds of sure matches further away: what is near keeps its exact weight."""
    scores = torch.full((1, 1, 300, 300), 80.0)
    scores[..., 0, 1] = 0.0
    weights = nearest_match(scores)[0, 0]
    torch.testing.assert_close(weights[0, 1:3], torch.tensor([0.5, 0.5]))
    assert weights[0, 3:].max() < 1e-25
    assert nearest_match(scores.bfloat16()).dtype == torch.float32


def test_direction_and_normalisation() -> None:
    torch.manual_seed(0)
    block = GeometricAttention(32, 4, position="none", norm="none", normalize=False)
    data = torch.randn(2, 6, 32)
    assert block.direction is not None
    query, key, value = block._project(data)
    before, after = block.direction(data).split(4, dim=-1)
    scores = block._scores(query, key, None)
    for t in range(6):
        scores[:, :, t, :t] += before[:, t, :, None]
        scores[:, :, t, t + 1 :] += after[:, t, :, None]
    weights = loop(scores)
    torch.testing.assert_close(block(data), data + block._merge(weights @ value, data), atol=1e-5, rtol=1e-4)
    block.normalize = True
    weights = weights / weights.sum(-1, keepdim=True)
    torch.testing.assert_close(block(data), data + block._merge(weights @ value, data), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_one_token_alone_reads_nothing(dtype: torch.dtype) -> None:
    block, data = GeometricAttention(32, 4, causal=True).to(dtype), torch.randn(2, 5, 32, dtype=dtype)
    torch.testing.assert_close(block(data)[:, :1], data[:, :1])
    torch.testing.assert_close(block(data[:, :1]), data[:, :1])
