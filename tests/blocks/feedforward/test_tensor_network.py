"""The tensor-network feed-forward: against the Model Garden's contractions, pieces and rank."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.feedforward.tensor_network import TensorNetworkFeedforward
from nas.errors import InputError


def plain(made: TensorNetworkFeedforward, data: Tensor) -> Tensor:
    """The contractions of w1 [D, D], w2 [P, F], w3 [F, P] and w4 [N, P, D], as the original writes them."""
    size = data.shape[-1]
    pieces = torch.einsum("ab,qb->aq", made.before.weight, data.flatten(0, 1))
    pieces = pieces.view(size // made.piece_size, made.piece_size, -1)
    inner = torch.einsum("abq,bd->aqd", pieces, made.expand.weight.T) + made.inner_bias[:, None]
    condensed = torch.einsum("aqd,db->aqb", F.gelu(inner), made.condense.weight.T)
    last = made.after.weight.T.view(-1, made.piece_size, size)
    return torch.einsum("aqb,abd->qd", condensed, last).view(data.shape)


def test_it_is_the_contraction_and_so_is_its_gradient() -> None:
    torch.manual_seed(0)
    made = TensorNetworkFeedforward(12, piece_size=4, norm="none")
    torch.nn.init.normal_(made.inner_bias)
    data = torch.randn(2, 5, 12, requires_grad=True)
    torch.testing.assert_close(made.mix(data, None), plain(made, data))
    torch.testing.assert_close(
        torch.autograd.grad(made.mix(data, None).square().sum(), [data, *made.parameters()]),
        torch.autograd.grad(plain(made, data).square().sum(), [data, *made.parameters()]),
    )


@pytest.mark.parametrize(
    ("hidden_size", "piece"), [(768, 128), (256, 128), (128, 64), (64, 32), (33, 11), (7, 1), (1, 1)]
)
def test_pieces_are_the_original_s_where_it_has_any(hidden_size: int, piece: int) -> None:
    with torch.device("meta"):
        assert TensorNetworkFeedforward(hidden_size).piece_size == piece


def test_a_rank_saves_weights() -> None:
    def count(rank: int | None) -> int:
        return sum(p.numel() for p in TensorNetworkFeedforward(64, rank=rank).parameters())

    assert count(None) - count(8) == 2 * (64 * 64 - 2 * 64 * 8)
    assert TensorNetworkFeedforward(64, rank=8)(torch.randn(1, 3, 64)).shape == (1, 3, 64)


def test_pieces_must_divide() -> None:
    with pytest.raises(InputError, match="piece_size=5 must divide hidden_size=12"):
        TensorNetworkFeedforward(12, piece_size=5)
    with pytest.raises(InputError, match="rank=0 must be greater than 0"):
        TensorNetworkFeedforward(12, rank=0)
