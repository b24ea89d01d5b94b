"""Latent recursion: the paper's two loops, its truncated gradient, and states through it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.recursive.latent import LatentRecursion
from nas.blocks.recursive.reuse import ReuseAttention
from nas.errors import InputError

DATA = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1.0] * 5, [1.0] * 3 + [0.0] * 2])
SPAN = {"attention": partial(MultiHeadAttention, num_heads=2), "feedforward": MLP}


def block(**changes: Any) -> LatentRecursion:
    torch.manual_seed(0)
    return LatentRecursion(16, changes.pop("span", SPAN), **changes)


def reference(latent: LatentRecursion, data: Tensor) -> Tensor:
    """The paper's listing: `deep_recursion` around `latent_recursion`, detached between."""
    attention, mlp = latent.inner_blocks

    def net(x: Tensor) -> Tensor:
        return F.rms_norm(mlp(attention(x, MASK), MASK), (16,), eps=1e-6)

    x = latent.norm_before(data)
    y, z = latent.answer.expand_as(x), latent.thought.expand_as(x)
    for cycle in range(latent.high_cycles):
        if cycle <= latent.high_cycles - latent.gradient_cycles:
            y, z = y.detach(), z.detach()
        for _ in range(latent.low_cycles):
            z = net(x + y + z)
        y = net(y + z)
    return data + y


@pytest.mark.parametrize(("high", "low", "kept"), [(1, 1, 1), (3, 2, 1), (3, 2, 2), (2, 3, None)])
def test_equals_the_papers_listing_forward_and_backward(high: int, low: int, kept: int | None) -> None:
    latent = block(high_cycles=high, low_cycles=low, gradient_cycles=kept)
    data = DATA.clone().requires_grad_()
    actual, expected = latent(data, MASK), reference(latent, data)
    torch.testing.assert_close(actual, expected)
    pairs = [
        torch.autograd.grad((out * DATA.cos()).sum(), [data, *latent.parameters()])
        for out in (actual, expected)
    ]
    for a, b in zip(*pairs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_the_starts_are_fixed_and_saved() -> None:
    latent = block()
    assert {"answer", "thought"} <= set(latent.state_dict())
    assert not {"answer", "thought"} & {name for name, _ in latent.named_parameters()}


def test_cost_counts_every_pass() -> None:
    latent = block(high_cycles=3, low_cycles=6)
    assert latent.num_loops == 21
    assert latent.flops_per_token(7) == 21 * sum(b.flops_per_token(7) for b in latent.inner_blocks)
    assert latent.label == "latent3x6(mha,mlp)"


def test_states_go_through() -> None:
    latent = block(span={"r": partial(ReuseAttention, num_heads=2)})
    assert latent.recursive
    scores = torch.randn(2, 2, 5, 5).softmax(-1)
    out, states = latent(DATA, MASK, {"attention_scores": scores, "other": 1})
    assert torch.equal(states["attention_scores"], scores)
    assert states["other"] == 1
    alone, own = latent(DATA, MASK)
    assert not torch.allclose(out, alone)
    assert set(own) == {"attention_scores"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"high_cycles": 0}, "high_cycles=0 must be greater than 0"),
        ({"gradient_cycles": 3}, "gradient_cycles=3 must be between 1 and high_cycles=2, or null"),
    ],
)
def test_bad_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        block(**changes)
