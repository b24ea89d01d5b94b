"""Blocks that say they can grow: each YAML in conf/block, wider or as the identity, keeps the function."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.blocks.base import Block
from nas.blocks.growth import Widening
from nas.errors import InputError
from tests.blocks.test_contract import YAMLS, batch, make, node, padding

FRAMES = [
    {"norm": norm, "residual": residual}
    for norm, residual in itertools.product(("pre", "post", "sandwich", "none"), ("add", "rezero", "gate"))
]


def built(yaml: str, **changes: Any) -> Block:
    torch.manual_seed(0)
    block = make(yaml, **changes).eval()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return block


def framed(yaml: str) -> list[dict[str, Any]]:
    return FRAMES if {"norm", "residual"} <= node(yaml).keys() else [{}]


@pytest.mark.parametrize("yaml", YAMLS)
def test_what_starts_as_the_identity_is_one_and_learns(yaml: str) -> None:
    for frame in framed(yaml):
        block = built(yaml, **frame)
        if block.recursive:
            continue
        try:
            block.start_as_identity()
        except InputError:
            continue
        data = batch()
        out = block(data, padding())
        real = padding().bool()
        torch.testing.assert_close(out[real], data[real], atol=1e-6, rtol=0)
        if any(True for _ in block.parameters()):
            (out * torch.randn_like(out)).sum().backward()
            assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters())


def test_most_pre_norm_blocks_can() -> None:
    can = []
    for yaml in YAMLS:
        block = built(yaml)
        try:
            block.start_as_identity()
        except InputError:
            continue
        can.append(yaml)
    assert {"attention/mha", "feedforward/mlp", "mixing/conv", "mixing/ssm", "transformer/rezero"} <= set(can)
    assert not {"mixing/fourier", "recursive/reuse"} & set(can)


def widened(yaml: str) -> list[tuple[str, int, int]]:
    """Return the arguments that may grow, with a small value and a larger one."""
    with torch.device("meta"):
        block = make(yaml)
    return [(argument, 24, 40) for argument in block.widenings]


CASES = [(yaml, *sizes) for yaml in YAMLS for sizes in widened(yaml)]


@pytest.mark.parametrize(("yaml", "argument", "small", "large"), CASES)
def test_a_wider_block_computes_the_same(yaml: str, argument: str, small: int, large: int) -> None:
    old = built(yaml, **{argument: small})
    torch.manual_seed(1)
    new = make(yaml, **{argument: large}).eval()
    table = new.widenings[argument]
    state = new.state_dict()
    changed = 0
    for name, value in old.state_dict().items():
        rule = table.get(name) if value.shape != state[name].shape else Widening()
        assert rule is not None, f"{name} is of another shape, and not named"
        assert rule.fits(value, state[name])
        rule.fill(value, state[name])
        changed += value.shape != state[name].shape
    assert changed >= 2
    data, mask = batch(), padding()
    torch.testing.assert_close(new(data, mask), old(data, mask), atol=1e-5, rtol=1e-5)


def test_feed_forward_blocks_can_be_widened() -> None:
    assert {yaml for yaml, *_ in CASES} >= {"feedforward/mlp", "feedforward/geglu", "feedforward/moe"}


def test_new_units_learn() -> None:
    old, new = built("feedforward/mlp", inner_dim=8), make("feedforward/mlp", inner_dim=12)
    for name, value in old.state_dict().items():
        new.widenings["inner_dim"].get(name, Widening()).fill(value, new.state_dict()[name])
    optimizer = torch.optim.SGD(new.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        new(batch()).square().mean().backward()
        optimizer.step()
    inner: nn.Linear = new.inner
    grown: Tensor = inner.weight.grad[8:]
    assert (grown.abs().sum(1) > 0).all()
