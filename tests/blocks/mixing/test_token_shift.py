"""Token shift: known values."""

from __future__ import annotations

import pytest
import torch

from nas.blocks.mixing.token_shift import TokenShift
from nas.errors import InputError


def test_each_group_comes_from_another_place() -> None:
    block = TokenShift(3, projection=False, norm="none")
    data = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]])
    moved = block(data) - data
    assert moved.tolist() == [[[4.0, 2.0, 0.0], [7.0, 5.0, 3.0], [0.0, 8.0, 6.0]]]


def test_causal_takes_from_before() -> None:
    block = TokenShift(4, projection=False, norm="none", causal=True)
    data = torch.arange(8.0).view(1, 2, 4)
    moved = block(data) - data
    assert moved.tolist() == [[[0.0, 1.0, 0.0, 0.0], [4.0, 5.0, 2.0, 3.0]]]


def test_padding_moves_as_zero() -> None:
    block = TokenShift(3, projection=False, norm="none")
    data, mask = torch.ones(1, 3, 3), torch.tensor([[1, 1, 0]])
    assert (block(data, mask) - data)[0, 1].tolist() == [0.0, 1.0, 1.0]


def test_more_groups_than_features_are_refused() -> None:
    with pytest.raises(InputError, match="reach=2 makes 5 groups: at most hidden_size=4"):
        TokenShift(4, reach=2)
