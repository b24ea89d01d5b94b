"""GRU: against torch's bidirectional layer, its order under padding, and its operator."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.blocks.mixing import gru_kernel
from nas.blocks.mixing.gru import GRU, real_first


def torchs(block: GRU) -> nn.GRU:
    """Return torch's layer with the block's weights."""
    layer = nn.GRU(6, block.state_size, batch_first=True, bidirectional=len(block.directions) == 2)
    for suffix, cell in zip(("", "_reverse"), block.directions, strict=False):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(layer, f"{name}_l0{suffix}").data = getattr(cell, name).data
    return layer


@pytest.mark.parametrize("causal", [False, True])
def test_equals_torchs_layer(causal: bool) -> None:
    torch.manual_seed(0)
    block = GRU(6, causal=causal)
    data = torch.randn(2, 7, 6)
    expected = data + block.output(torchs(block)(block.norm_before(data))[0])
    torch.testing.assert_close(block(data), expected)
    torch.testing.assert_close(block(data, torch.ones(2, 7)), expected)


def test_padding_on_either_side_changes_nothing() -> None:
    torch.manual_seed(0)
    block, data = GRU(6), torch.randn(1, 9, 6)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 0, 0]])
    torch.testing.assert_close(block(data, mask)[:, 2:-2], block(data[:, 2:-2]))


def test_real_tokens_come_first_in_reading_order() -> None:
    real = torch.tensor([[False, True, True, False, True]])
    assert real_first(real, backward=False).tolist() == [[1, 2, 4, 0, 3]]
    assert real_first(real, backward=True).tolist() == [[4, 2, 1, 0, 3]]


@pytest.mark.parametrize("bias", [True, False])
def test_the_operator_of_compiled_graphs(bias: bool) -> None:
    torch.manual_seed(0)
    weights = [w.detach().requires_grad_() for w in nn.GRUCell(3, 4, bias=bias).parameters()]
    data = torch.randn(2, 5, 3, requires_grad=True)
    ours, theirs = torch.ops.nas.gru(data, weights), gru_kernel.run_gru(data, weights)
    torch.testing.assert_close(ours, theirs)
    gradient = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad(ours, [data, *weights], gradient),
        torch.autograd.grad(theirs, [data, *weights], gradient),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.nas.gru, (data, weights), test_utils=tests)
