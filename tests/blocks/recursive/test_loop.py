"""Looping with the input injected: fixed points, more steps when testing, truncated gradients."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.base import Block, Role
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.recursive.loop import Loop
from nas.errors import InputError

DATA = torch.randn(4, 5, 16, generator=torch.Generator().manual_seed(0))
MASK = torch.ones(4, 5)
MASK[1, 3:] = 0
SPAN = {"attention": partial(MultiHeadAttention, num_heads=2), "feedforward": MLP}


class Halve(Block):
    """Half of what comes in, times a weight of 1."""

    role: ClassVar[Role] = "mixing"

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, data: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return 0.5 * self.weight * data


def block(**changes: Any) -> Loop:
    torch.manual_seed(0)
    return Loop(16, changes.pop("span", SPAN), **changes)


def test_adding_the_input_leads_to_the_fixed_point() -> None:
    # h = (h + x) / 2 has the fixed point x, wherever the loop stands after few steps.
    for n, share in ((1, 0.5), (2, 0.75), (40, 1.0)):
        torch.testing.assert_close(block(span={"h": Halve}, n=n)(DATA), share * DATA)


@pytest.mark.parametrize("injection", ["add", "concat", "gate"])
def test_equals_the_plain_form_forward_and_backward(injection: Any) -> None:
    loop = block(n=3, injection=injection)
    attention, mlp = loop.inner_blocks
    data = DATA.clone().requires_grad_()
    current = torch.zeros_like(data) if injection == "add" else data
    for _ in range(3):
        if loop.inject.linear is None:
            read = current + data
        else:
            joined = loop.inject.linear(torch.cat([current, data], -1))
            gate = joined.sigmoid()
            read = joined if injection == "concat" else gate * current + (1 - gate) * data
        current = mlp(attention(read, MASK), MASK)
    actual = loop(data, MASK)
    torch.testing.assert_close(actual, current)
    grads = [
        torch.autograd.grad((out * DATA.cos()).sum(), [data, *loop.parameters()]) for out in (actual, current)
    ]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("injection", ["add", "concat", "gate"])
def test_one_step_is_the_span_itself(injection: Any) -> None:
    loop = block(n=1, injection=injection)
    expected, _ = loop.span(DATA, loop.span.masks(DATA, MASK), {})
    torch.testing.assert_close(loop(DATA, MASK), expected)


def test_the_same_weights_take_more_steps_when_testing() -> None:
    three, nine, same = block(n=3), block(n=3, n_test=9), block(n=3, n_test=3)
    weights = three.state_dict()
    for other in (nine, same):
        other.load_state_dict(weights)
    assert torch.equal(three(DATA, MASK), nine(DATA, MASK))
    for loop in (three, nine, same):
        loop.eval()
    plain = three(DATA, MASK)
    assert torch.equal(plain, same(DATA, MASK))
    assert not torch.allclose(plain, nine(DATA, MASK))
    assert torch.equal(nine(DATA, MASK), block(n=9).eval()(DATA, MASK))
    assert three.effective_config() == same.effective_config() != nine.effective_config()


@pytest.mark.parametrize("k", [1, 2, 3])
def test_gradients_reach_the_last_steps_only(k: int) -> None:
    loop = block(n=3, gradient_steps=k)
    attention, mlp = loop.inner_blocks
    data = DATA.clone().requires_grad_()
    current = torch.zeros_like(data)
    for step in range(3):
        read = current + data
        current = mlp(attention(read, MASK), MASK)
        current = current if step >= 3 - k else current.detach()
    actual = loop(data, MASK)
    assert torch.equal(actual, current)
    grads = [torch.autograd.grad(out.square().sum(), [data, *loop.parameters()]) for out in (actual, current)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_each_sequence_draws_its_number_of_steps() -> None:
    loop = block(n=4, n_min=2)
    counted = {n: block(n=n)(DATA, MASK) for n in (1, 2, 3, 4)}
    seen = set()
    for seed in range(12):
        torch.manual_seed(seed)
        out = loop(DATA, MASK)
        for row in range(4):
            [n] = [n for n, full in counted.items() if torch.allclose(out[row], full[row], atol=1e-6)]
            seen.add(n)
    assert seen == {2, 3, 4}
    torch.manual_seed(3)
    again = loop(DATA, MASK)
    torch.manual_seed(3)
    assert torch.equal(again, loop(DATA, MASK))
    assert torch.equal(loop.eval()(DATA, MASK), counted[4])


def test_waiting_keeps_the_last_gradients() -> None:
    loop = block(n=4, n_min=1, gradient_steps=1)
    loop(DATA, MASK).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in loop.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 0}, "n=0 must be greater than 0"),
        ({"n_test": 0}, "n_test=0 must be greater than 0"),
        ({"n_min": 4}, "n_min=4 must be between 1 and n=3, or null"),
        ({"gradient_steps": 0}, "gradient_steps=0 must be between 1 and n=3, or null"),
        ({"injection": "added"}, "injection='added' is not one of .*did you mean 'add'"),
    ],
)
def test_bad_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        block(**changes)
