"""How what a block computed joins what came in."""

from __future__ import annotations

import pytest
import torch

from nas.blocks.feedforward.mlp import MLP
from nas.blocks.norms import make_norm
from nas.blocks.residuals import CopyGate, make_residual

DATA, UPDATE = torch.randn(2, 2, 5, 8, generator=torch.Generator().manual_seed(0)).unbind()


def test_rezero_starts_as_the_identity_and_learns_its_scale_first() -> None:
    block = MLP(8, norm="none", residual="rezero")
    out = block(DATA)
    torch.testing.assert_close(out, DATA)
    out.square().sum().backward()
    assert [name for name, p in block.named_parameters() if p.grad.any()] == ["residual.scale"]


@pytest.mark.parametrize(("scheme", "initial", "scale"), [("layerscale", None, 0.1), ("rezero", 2.0, 2.0)])
def test_a_scale_multiplies_the_update(scheme: str, initial: float | None, scale: float) -> None:
    join = make_residual(scheme, 8, initial)
    assert join.scale.numel() == {"layerscale": 8, "rezero": 1}[scheme]
    torch.testing.assert_close(join(DATA, UPDATE), DATA + scale * UPDATE)


def test_the_copy_gate_copies_at_first_and_can_replace() -> None:
    torch.manual_seed(0)
    gate = make_residual("gate", 8, None)
    assert isinstance(gate, CopyGate)
    kept = 1 - torch.sigmoid(gate.gate(UPDATE))
    torch.testing.assert_close(gate(DATA, UPDATE), kept * DATA + (1 - kept) * UPDATE)
    assert kept.mean() > 0.9
    torch.nn.init.constant_(gate.gate.bias, 50.0)
    torch.testing.assert_close(gate(DATA, UPDATE), UPDATE)


def test_dynamic_tanh_needs_no_statistics() -> None:
    norm = make_norm("dyt", 8, 1e-6)
    torch.testing.assert_close(norm(DATA), torch.tanh(0.5 * DATA))
    assert norm(DATA.bfloat16()).dtype == torch.bfloat16
    torch.testing.assert_close(norm(DATA)[:, :1], norm(DATA[:, :1]))
