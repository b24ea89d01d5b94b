"""Repeating a span: the same as its blocks written out, and as one shared instance in several slots."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.none import NoBlock
from nas.blocks.positions import sinusoid
from nas.blocks.recursive.repeat import Repeat
from nas.blocks.recursive.reuse import ReuseAttention
from nas.errors import InputError

DATA = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1.0] * 5, [1.0] * 3 + [0.0] * 2])
SPAN = {"attention": partial(MultiHeadAttention, num_heads=2), "feedforward": MLP}


def block(**changes: Any) -> Repeat:
    torch.manual_seed(0)
    return Repeat(16, changes.pop("span", SPAN), **changes)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_equals_the_blocks_written_out_forward_and_backward(n: int) -> None:
    repeat = block(n=n)
    attention, mlp = repeat.inner_blocks
    expected = DATA
    for _ in range(n):
        expected = mlp(attention(expected, MASK), MASK)
    actual = repeat(DATA, MASK)
    assert torch.equal(actual, expected)
    grads = [
        torch.autograd.grad((out * DATA.cos()).sum(), list(repeat.parameters())) for out in (actual, expected)
    ]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_weights_do_not_grow_and_cost_does() -> None:
    once, thrice = block(n=1), block(n=3)
    assert sum(p.numel() for p in once.parameters()) == sum(p.numel() for p in thrice.parameters())
    assert thrice.flops_per_token(7) == 3 * once.flops_per_token(7)
    assert thrice.num_loops == 3


def test_step_embeddings() -> None:
    identity = {"nothing": NoBlock}
    learned, fixed = (block(span=identity, n=3, step_embedding=kind) for kind in ("learned", "sinusoid"))
    assert learned.step_embedding.table is not None
    torch.testing.assert_close(learned(DATA), DATA + learned.step_embedding.table.sum(0))
    torch.testing.assert_close(fixed(DATA), DATA + sinusoid(3, 16, DATA.device).sum(0))
    assert torch.equal(block(span=identity, n=3)(DATA), DATA)


def test_reused_scores_go_from_pass_to_pass() -> None:
    repeat = block(span={"r": partial(ReuseAttention, num_heads=2), "m": MLP}, n=2)
    out, states = repeat(DATA, MASK)
    reuse, mlp = repeat.inner_blocks
    data, scores = reuse(DATA, MASK, None)
    assert torch.equal(states["attention_scores"], scores)
    data, _ = reuse(mlp(data), MASK, scores)
    assert torch.equal(out, mlp(data))


def test_bad_settings() -> None:
    with pytest.raises(InputError, match="n=0 must be greater than 0"):
        block(n=0)
    with pytest.raises(InputError, match=r"step_embedding='sinus' is not one of .*did you mean 'sinusoid'"):
        block(step_embedding="sinus")
