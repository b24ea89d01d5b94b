"""Gated stacks: against their equation, GLU as a special case, and where dropout stands."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.feedforward.gated import GatedFeedforward
from nas.blocks.feedforward.glu import GLU
from nas.errors import InputError


def block(**changes: Any) -> GatedFeedforward:
    torch.manual_seed(0)
    return GatedFeedforward(**{"hidden_size": 8, "inner_dim": 12, "norm": "none", **changes})


def plain(made: GatedFeedforward, data: Tensor) -> Tensor:
    """The Model Garden's equation, with two products in place of the fused one."""
    for index, (inner, output) in enumerate(zip(made.inner, made.output, strict=True)):
        if made.use_gate:
            first, gate = (
                F.linear(data, w, b) for w, b in zip(inner.weight.chunk(2), inner.bias.chunk(2), strict=True)
            )
            update = output(F.gelu(first) * gate)
        else:
            update = output(F.gelu(inner(data)))
        data = update if made.norms is None else made.norms[index](data + update)
    return data


@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize("use_gate", [True, False])
def test_it_is_the_equation_and_so_is_its_gradient(use_gate: bool, normed: bool) -> None:
    made = block(use_gate=use_gate, num_blocks=3, apply_output_layer_norm=normed)
    data = torch.randn(2, 5, 8, requires_grad=True)
    torch.testing.assert_close(made.mix(data, None), plain(made, data))
    torch.testing.assert_close(
        torch.autograd.grad(made.mix(data, None).square().sum(), [data, *made.parameters()]),
        torch.autograd.grad(plain(made, data).square().sum(), [data, *made.parameters()]),
    )


def test_one_network_without_its_norm_is_a_glu() -> None:
    ours = block(num_blocks=1, apply_output_layer_norm=False, norm="pre")
    glu = GLU(8, inner_dim=12, activation="gelu", bias=True, norm="pre")
    renamed = {key.replace(".0.", "."): value for key, value in ours.state_dict().items()}
    glu.load_state_dict(renamed)
    data = torch.randn(2, 5, 8)
    torch.testing.assert_close(ours(data), glu(data))


def test_dropout_before_or_after_the_residual() -> None:
    data = torch.randn(4, 50, 8)
    for site, some_zero in (("before_residual", False), ("after_residual", True)):
        out = block(drop_site=site, inner_dropout=0.5, num_blocks=1).mix(data, None)
        assert bool((out == 0).any()) is some_zero, site


def test_labels_and_mistakes() -> None:
    assert [block().label, block(use_gate=False, num_blocks=1).label] == ["gated2", "stacked"]
    with pytest.raises(InputError, match="drop_site='before' is not one of"):
        block(drop_site="before")
    with pytest.raises(InputError, match="num_blocks=0 must be greater than 0"):
        block(num_blocks=0)
    assert block(drop_site="after_residual").effective_config() == block().effective_config()
