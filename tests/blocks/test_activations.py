"""Activations: each name's function at a few points, and what is said about an unknown name."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from nas.blocks.activations import ActivationName, get_activation
from nas.errors import InputError

POINTS = torch.tensor([-4.0, -1.0, 0.0, 1.0, 7.0])
VALUES = {
    "gelu": [-0.0001, -0.1587, 0, 0.8413, 7],
    "gelu_tanh": [-0.0001, -0.1588, 0, 0.8412, 7],
    "relu": [0, 0, 0, 1, 7],
    "relu2": [0, 0, 0, 1, 49],
    "relu6": [0, 0, 0, 1, 6],
    "silu": [-0.0719, -0.2689, 0, 0.7311, 6.9936],
    "hard_swish": [0, -1 / 3, 0, 2 / 3, 7],
    "mish": [-0.0726, -0.3034, 0, 0.8651, 7],
    "hard_sigmoid": [0, 1 / 3, 0.5, 2 / 3, 1],
}


@pytest.mark.parametrize("name", get_args(ActivationName))
def test_values(name: str) -> None:
    torch.testing.assert_close(
        get_activation(name)(POINTS), torch.tensor(VALUES[name], dtype=torch.float32), atol=1e-4, rtol=0
    )


def test_a_function_stands_for_itself() -> None:
    assert get_activation(torch.tanh) is torch.tanh


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"inner_activation='hard_swich' is not one of .* 'hard_swish'"):
        get_activation("hard_swich", "inner_activation")
