"""Skips over slots: a stack, last saved first added, and the identity without any."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nas.blocks.feedforward.mlp import MLP
from nas.blocks.recursive.skip import SkipAdd, SkipSave

DATA = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))


def run(*blocks: Any) -> Tensor:
    data, skips = DATA, None
    for block in blocks:
        data, skips = block(data, None, skips) if block.recursive else (block(data), skips)
    return data


def test_a_u_net_joins_outer_with_outer_and_inner_with_inner() -> None:
    torch.manual_seed(0)
    down, deep, up = MLP(16), MLP(16), MLP(16)
    inner, outer = SkipAdd(initial=0.5), SkipAdd(initial=2.0)
    save = SkipSave()
    actual = run(save, down, save, deep, inner, up, outer)
    first = down(DATA)
    expected = up(deep(first) + 0.5 * first) + 2.0 * DATA
    assert torch.equal(actual, expected)
    actual.sum().backward()  # type: ignore[no-untyped-call]
    assert inner.weight.grad is not None
    torch.testing.assert_close(outer.weight.grad, DATA.sum().view(1))


def test_without_anything_saved_nothing_is_added() -> None:
    assert torch.equal(run(SkipAdd()), DATA)
    assert torch.equal(run(SkipSave(), SkipAdd(initial=1.0), SkipAdd(initial=1.0)), 2 * DATA)


@pytest.mark.parametrize("block", [SkipSave(), SkipAdd()])
def test_costs_nothing(block: Any) -> None:
    assert block.flops_per_token(7) == 0
