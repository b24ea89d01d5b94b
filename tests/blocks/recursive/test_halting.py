"""Adaptive halting against Graves's equations, token by token, and its ponder loss."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.losses import collect_losses
from nas.blocks.recursive.halting import AdaptiveHalting
from nas.errors import InputError

DATA = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1.0] * 5, [1.0] * 3 + [0.0] * 2])
SPAN = {"attention": partial(MultiHeadAttention, num_heads=2), "feedforward": MLP}


def block(bias: float | None = None, **changes: Any) -> AdaptiveHalting:
    torch.manual_seed(0)
    made = AdaptiveHalting(16, SPAN, **{"max_steps": 4, **changes})
    if bias is not None:
        nn.init.constant_(made.halt.bias, bias)
        nn.init.normal_(made.halt.weight, std=0.5)
    return made


def reference(act: AdaptiveHalting) -> tuple[Tensor, Tensor, list[list[int]]]:
    """Decide for each token by itself, with Python's conditions: output, ponder costs, steps."""
    data = DATA
    chances: list[list[list[Tensor]]] = [[[] for _ in range(5)] for _ in range(2)]
    outs: list[list[Any]] = [[0.0] * 5 for _ in range(2)]
    costs: list[list[Any]] = [[None] * 5 for _ in range(2)]
    for step in range(act.max_steps):
        new, _ = act.span(data, act.span.masks(data, MASK), {})
        rows = [[new[b, t] if costs[b][t] is None else data[b, t] for t in range(5)] for b in range(2)]
        data = torch.stack([torch.stack(row) for row in rows])
        for b in range(2):
            for t in range(5):
                if costs[b][t] is not None:
                    continue
                before: Any = sum(chances[b][t])
                chance = act.halt(data[b, t]).sigmoid()[0]
                if step == act.max_steps - 1 or before + chance >= 1 - act.epsilon:
                    chance = torch.as_tensor(1 - before)
                    costs[b][t] = step + 1 + chance
                chances[b][t].append(chance)
                outs[b][t] = outs[b][t] + chance * data[b, t]
    output = torch.stack([torch.stack(row) for row in outs])
    return (
        output,
        torch.stack([torch.stack(row) for row in costs]),
        [[len(c) for c in row] for row in chances],
    )


@pytest.mark.parametrize("bias", [-4.0, -0.5, 0.0, 1.0])
def test_equals_the_equations_forward_and_backward(bias: float) -> None:
    act = block(bias)
    with collect_losses() as losses:
        actual = act(DATA, MASK)
    expected, costs, steps = reference(act)
    ponder = 0.01 * costs[MASK == 1].mean()
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(losses["ponder"], ponder)
    if bias == 0.0:
        assert len({n for row in steps for n in row}) > 1  # tokens differ in their number of steps
    pairs = [
        torch.autograd.grad((out * DATA.cos()).sum() + 100 * loss, list(act.parameters()))
        for out, loss in ((actual, losses["ponder"]), (expected, ponder))
    ]
    for a, b in zip(*pairs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_sure_tokens_take_one_step() -> None:
    act = block(20.0)
    nn.init.zeros_(act.halt.weight)
    once, _ = act.span(DATA, act.span.masks(DATA, MASK), {})
    with collect_losses() as losses:
        torch.testing.assert_close(act(DATA, MASK), once)
    assert losses["ponder"].item() == pytest.approx(0.01 * 2)  # one step, and all of it the remainder


def test_the_penalty_shortens_thinking() -> None:
    act = block(-1.0, ponder_weight=1.0)
    optimizer = torch.optim.SGD(act.parameters(), lr=0.5)
    costs = []
    for _ in range(15):
        with collect_losses() as losses:
            act(DATA, MASK)
        optimizer.zero_grad()
        losses["ponder"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        costs.append(losses["ponder"].item())
    assert costs[-1] < costs[0] - 0.5


def test_padding_costs_nothing() -> None:
    act = block(0.0)
    other = torch.where(MASK[..., None] == 1, DATA, 10 * torch.randn_like(DATA))
    with collect_losses() as one:
        act(DATA, MASK)
    with collect_losses() as two:
        act(other, MASK)
    torch.testing.assert_close(one["ponder"], two["ponder"])


def test_the_loss_survives_compilation() -> None:
    act = block(0.0)
    compiled = torch.compile(act, backend="eager", fullgraph=True)
    with collect_losses() as plain:
        act(DATA, MASK)
    for _ in range(2):
        with collect_losses() as traced:
            compiled(DATA, MASK)
        torch.testing.assert_close(traced["ponder"], plain["ponder"])


def test_no_weight_no_loss() -> None:
    with collect_losses() as losses:
        block(ponder_weight=0.0)(DATA, MASK)
    assert losses == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_steps": 1}, "max_steps=1 must be at least 2"),
        ({"epsilon": 1.0}, "epsilon=1.0 must be at least 0 and below 1"),
        ({"ponder_weight": -0.1}, "ponder_weight=-0.1 must not be negative"),
    ],
)
def test_bad_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        block(**changes)
