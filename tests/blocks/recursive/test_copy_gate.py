"""The copy gate in a loop of shared layers: the Neural Data Router's way to keep what is not yet due."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from nas.blocks.feedforward.mlp import MLP
from nas.blocks.recursive.repeat import Repeat

DATA = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
GATED = partial(MLP, residual="gate")


def test_it_copies_at_first() -> None:
    torch.manual_seed(0)
    gated: Any = GATED(hidden_size=16)
    assert (gated.residual.gate.bias == -3).all()
    update = gated.branch(DATA)
    gate = torch.sigmoid(gated.residual.gate(update))
    torch.testing.assert_close(gated(DATA), gate * update + (1 - gate) * DATA)
    assert gate.mean() < 0.1
    assert (gated(DATA) - DATA).norm() < 0.1 * (update - DATA).norm()


def test_a_closed_gate_copies_through_any_depth_and_an_open_one_replaces() -> None:
    deep: Any = Repeat(16, {"m": GATED}, n=20)
    gate = deep.inner_blocks[0].residual.gate
    nn.init.constant_(gate.bias, -40.0)
    torch.testing.assert_close(deep(DATA), DATA)
    nn.init.constant_(gate.bias, 40.0)
    once = Repeat(16, {"m": deep.inner_blocks[0]}, n=1)
    torch.testing.assert_close(once(DATA), deep.inner_blocks[0].branch(DATA))
