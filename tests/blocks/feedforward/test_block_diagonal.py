"""The block-diagonal feed-forward: against a dense matrix with zeros, and its count of weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.feedforward.block_diagonal import BlockDiagonalFeedforward
from nas.blocks.feedforward.mlp import MLP
from nas.errors import InputError


def plain(made: BlockDiagonalFeedforward, data: Tensor) -> Tensor:
    """The second product with the whole matrix, and mixing as a matrix as well."""
    out = F.gelu(made.inner(data)) @ torch.block_diag(*made.output)
    if made.output_bias is not None:
        out = out + made.output_bias
    if made.mixing is not None:
        width = data.shape[-1] // made.num_blocks
        out = out @ torch.kron(made.mixing, torch.eye(width))
    return out


@pytest.mark.parametrize(("apply_mixing", "bias"), [(True, True), (False, False)])
def test_it_is_a_dense_product_with_zeros(apply_mixing: bool, bias: bool) -> None:
    torch.manual_seed(0)
    made = BlockDiagonalFeedforward(12, inner_dim=20, num_blocks=4, apply_mixing=apply_mixing, bias=bias)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    data = torch.randn(2, 5, 12, requires_grad=True)
    inside = [data, *(p for name, p in made.named_parameters() if "norm" not in name)]
    torch.testing.assert_close(made.mix(data, None), plain(made, data), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        torch.autograd.grad(made.mix(data, None).sum(), inside),
        torch.autograd.grad(plain(made, data).sum(), inside),
        rtol=1e-4,
        atol=1e-4,
    )


def test_the_second_product_has_fewer_weights() -> None:
    whole = sum(p.numel() for p in MLP(32).parameters())
    parts = sum(p.numel() for p in BlockDiagonalFeedforward(32, num_blocks=4).parameters())
    assert whole - parts == 32 * 128 * 3 // 4 - 4 * 4


def test_sizes_must_divide() -> None:
    with pytest.raises(InputError, match="num_blocks=3 must divide hidden_size=32"):
        BlockDiagonalFeedforward(32, num_blocks=3)
    with pytest.raises(InputError, match="num_blocks=4 must divide inner_dim=30"):
        BlockDiagonalFeedforward(32, inner_dim=30)
    assert BlockDiagonalFeedforward(32, ratio=2.7).inner.out_features % 4 == 0
