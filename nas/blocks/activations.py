"""Activation functions that blocks choose by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor

from nas.errors import check_choice

Activation = Callable[[Tensor], Tensor]
ActivationName = Literal[
    "gelu", "gelu_tanh", "relu", "relu2", "relu6", "silu", "hard_swish", "mish", "hard_sigmoid"
]


def relu2(data: Tensor) -> Tensor:
    """Square the positive part (Primer: So et al. 2021, arXiv 2109.08668)."""
    return F.relu(data).square()


_BY_NAME: dict[str, Activation] = {
    "gelu": F.gelu,  # the exact one, with erf
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "relu2": relu2,
    "relu6": F.relu6,
    "silu": F.silu,  # also known as swish
    "hard_swish": F.hardswish,
    "mish": F.mish,
    "hard_sigmoid": F.hardsigmoid,
}


def get_activation(activation: str | Activation, key: str = "activation") -> Activation:
    """Return the function of that name, or the function itself.

    Raises:
        InputError: the name is unknown; ``key`` is the argument that the message names.
    """
    if callable(activation):
        return activation
    check_choice(key, activation, get_args(ActivationName))
    return _BY_NAME[activation]
