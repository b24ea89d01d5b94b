"""Gated attention: against its equation."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nas.blocks.attention.gated import GatedAttention
from nas.blocks.attention.softmax import merge_heads
from nas.errors import InputError


@pytest.mark.parametrize("rank", [None, 3])
@pytest.mark.parametrize("gate", ["elementwise", "head"])
def test_heads_pass_a_gate_of_the_token(gate: Any, rank: int | None) -> None:
    torch.manual_seed(0)
    block = GatedAttention(32, 4, gate=gate, gate_rank=rank, norm="none")
    data = torch.randn(2, 7, 32)
    heads = merge_heads(block._attend(*block._project(data), None)).view(2, 7, 4, 8)
    weight = torch.eye(32)
    for factor in block.gate.parameters():
        weight = factor @ weight
    opened = torch.sigmoid(data @ weight.T).view(2, 7, 4, -1)
    expected = data + block.output((heads * opened).flatten(2))
    actual, parameters, seed = block(data), list(block.parameters()), torch.randn_like(data)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    for a, b in zip(
        *(torch.autograd.grad((o * seed).sum(), parameters) for o in (actual, expected)), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_a_closed_gate_lets_nothing_through() -> None:
    block = GatedAttention(32, 4, gate="head", norm="none")
    with torch.no_grad():
        block.gate[0].weight.fill_(-100.0)
    data = torch.rand(1, 5, 32) + 0.1
    torch.testing.assert_close(block(data), data)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"gate": "heads"}, "did you mean 'head'"), ({"gate_rank": 0}, "gate_rank=0 must be greater than 0")],
)
def test_wrong_arguments(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        GatedAttention(32, 4, **change)
