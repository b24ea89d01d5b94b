"""Reuse attention: which heads are computed, which are taken over, and what is handed on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nas.blocks.recursive.reuse import ReuseAttention
from nas.errors import InputError

DATA = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1.0] * 6, [1.0] * 4 + [0.0] * 2])
STATE = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1)).softmax(-1)


def block(**changes: object) -> ReuseAttention:
    torch.manual_seed(0)
    return ReuseAttention(32, 4, **changes)  # type: ignore[arg-type]


def reference(reuse: ReuseAttention, reused: Tensor, new_heads: int) -> tuple[Tensor, Tensor]:
    """Compute as the Model Garden does: separate value and output products, summed."""
    x, k = reuse.norm_before(DATA), reuse.head_size
    outs, states = torch.zeros_like(DATA), []
    for head in range(4):
        rows = slice(head * k, (head + 1) * k)
        if head < new_heads:
            assert reuse.query is not None
            assert reuse.key is not None
            scores = (x @ reuse.query.weight[rows].T) @ (x @ reuse.key.weight[rows].T).mT / k**0.5
            weights = (scores + (1 - MASK[:, None, :]) * -1e9).softmax(-1)
        else:
            weights = reused[:, head - new_heads]
        outs = outs + weights @ (x @ reuse.value.weight[rows].T) @ reuse.output.weight[:, rows].T
        states.append(weights)
    return DATA + outs, torch.stack(states, dim=1)


@pytest.mark.parametrize("has_state", [True, None])
@pytest.mark.parametrize("reuse_heads", [1, 3, 4, -1, 0])
def test_equals_the_plain_form_forward_and_backward(reuse_heads: int, has_state: bool | None) -> None:
    reuse = block(reuse_heads=reuse_heads, has_state=has_state)
    new_heads = 4 - (4 if reuse_heads == -1 else reuse_heads)
    state = STATE.clone().requires_grad_()
    actual, expected = reuse(DATA, MASK, state), reference(reuse, state, new_heads)
    inputs = [state, *reuse.parameters()]
    grads = []
    for out, new_state in (actual, expected):
        torch.testing.assert_close(out, expected[0], atol=2e-6, rtol=1e-5)
        torch.testing.assert_close(new_state, expected[1])
        loss = (out * DATA.cos()).sum() + (new_state * STATE.cos()).sum()
        grads.append(torch.autograd.grad(loss, inputs, allow_unused=True))
    for a, b in zip(*grads, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_new_heads_stand_first_so_the_next_block_reuses_them() -> None:
    first, second, third = (block(has_state=known, reuse_heads=2) for known in (False, True, True))
    data, state = first(DATA, MASK, None)
    data, second_state = second(data, MASK, state)
    _, third_state = third(data, MASK, second_state)
    assert torch.equal(second_state[:, 2:], state[:, :2])
    assert torch.equal(third_state[:, 2:], second_state[:, :2])
    assert not torch.allclose(second_state[:, :2], state[:, :2])


def test_full_reuse_has_no_queries_and_passes_the_state_through() -> None:
    reuse = block(has_state=True)
    assert reuse.query is None
    assert reuse.key is None
    assert torch.equal(reuse(DATA, MASK, STATE)[1], STATE)


def test_parameters_and_flops_follow_what_is_computed() -> None:
    fresh, half, full = block(has_state=False), block(has_state=True, reuse_heads=2), block(has_state=True)
    sizes = [sum(p.numel() for p in b.parameters()) for b in (fresh, half, full)]
    assert sizes[0] - sizes[1] == sizes[1] - sizes[2] == 2 * 32 * 16
    assert fresh.flops_per_token(6) > half.flops_per_token(6) > full.flops_per_token(6)
    assert block().flops_per_token(6) == fresh.flops_per_token(6)


def test_first_of_its_kind_ignores_a_state() -> None:
    first = block(has_state=False)
    assert torch.equal(first(DATA, MASK, STATE)[0], first(DATA, MASK, None)[0])


def test_one_instance_twice_computes_once_and_then_reuses() -> None:
    shared = block()
    data, state = shared(DATA, MASK, None)
    _, again = shared(data, MASK, state)
    assert torch.equal(state, again)


def test_state_is_the_weights_before_dropout() -> None:
    reuse = block(attention_dropout=0.5)
    state = reuse(DATA, MASK, None)[1]
    torch.testing.assert_close(state.sum(-1), torch.ones(2, 4, 6))
    assert (state[1, :, :, 4:] == 0).all()


def test_missing_state_names_the_block() -> None:
    with pytest.raises(
        InputError, match=r"reuse \(ReuseAttention\) with reuse_heads=4 needs a state, but no"
    ):
        block(has_state=True)(DATA, MASK, None)


def test_state_of_another_shape() -> None:
    message = r"needs a state of shape \[2, 4 or more, 6, 6\], not \[2, 3, 6, 6\]"
    with pytest.raises(InputError, match=message):
        block(has_state=True)(DATA, MASK, STATE[:, :3])


@pytest.mark.parametrize("heads", [5, -2])
def test_heads_that_cannot_be_reused(heads: int) -> None:
    with pytest.raises(InputError, match=f"reuse_heads={heads} must be between -1 .all. and num_heads=4"):
        block(reuse_heads=heads)


def test_heads_must_divide_the_hidden_size() -> None:
    with pytest.raises(InputError, match="hidden_size=32 is not a multiple of num_heads=5"):
        ReuseAttention(32, 5)
