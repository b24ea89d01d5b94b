"""The feed-forward networks: their equations, sizes and labels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.blocks.feedforward.glu import GLU
from nas.blocks.feedforward.mlp import MLP
from nas.errors import InputError

DATA = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0))


def size(block: nn.Module) -> int:
    return sum(p.numel() for p in block.parameters())


def test_mlp_equation() -> None:
    block = MLP(32, activation="relu2", bias=True)
    inner = torch.relu(block.inner(block.norm_before(DATA))) ** 2
    torch.testing.assert_close(block(DATA), DATA + block.output(inner))
    assert block.inner.out_features == 128


def test_glu_equation() -> None:
    block = GLU(32, activation="relu", bias=True)
    gate, value = block.inner(block.norm_before(DATA)).chunk(2, dim=-1)
    torch.testing.assert_close(block(DATA), DATA + block.output(torch.relu(gate) * value))


@pytest.mark.parametrize(
    ("activation", "label"),
    [("gelu", "geglu"), ("gelu_tanh", "geglu"), ("silu", "swiglu"), ("relu", "reglu"), ("relu2", "relu2glu")],
)
def test_glu_is_named_by_its_gate(activation: str, label: str) -> None:
    assert GLU(32, activation=activation).label == label  # type: ignore[arg-type]


@pytest.mark.parametrize("hidden_size", [32, 64, 128, 768])
def test_glu_has_about_as_many_weights_as_an_mlp(hidden_size: int) -> None:
    glu, mlp = GLU(hidden_size), MLP(hidden_size)
    assert glu.output.in_features % 8 == 0
    assert size(glu) == pytest.approx(size(mlp), rel=0.04)
    assert glu.flops_per_token(9) == pytest.approx(mlp.flops_per_token(9), rel=0.04)


@pytest.mark.parametrize("kind", [MLP, GLU])
def test_width_by_number_or_ratio(kind: type[MLP] | type[GLU]) -> None:
    assert kind(32, inner_dim=20).output.in_features == 20
    assert kind(32, ratio=2.0).output.in_features == 64
    assert kind(2, ratio=0.1).output.in_features >= 1


@pytest.mark.parametrize("kind", [MLP, GLU])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": "glu"}, r"activation='glu' is not one of \['gelu', 'gelu_tanh', 'relu'"),
        ({"inner_dim": 0}, "inner_dim=0 must be greater than 0"),
        ({"ratio": -1.0}, "ratio=-1.0 must be greater than 0"),
        ({"hidden_size": 0}, "hidden_size=0 must be greater than 0"),
        ({"inner_dropout": 1.5}, "inner_dropout=1.5 must be at least 0"),
    ],
)
def test_wrong_arguments(kind: type[MLP], arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kind(**({"hidden_size": 32} | arguments))  # type: ignore[arg-type]
