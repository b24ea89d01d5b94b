"""The original's constructor arguments: each is read by name, and unknown ones are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.activations import ActivationName
from nas.errors import InputError, check_choice, nearest

FILLERS = (
    "kernel_initializer",
    "bias_initializer",
    "attention_initializer",
    "kernel_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "kernel_constraint",
    "bias_constraint",
    "name",
    "trainable",
    "dtype",
)
"""Arguments of almost every class there that have no effect once the weights are loaded."""
_REQUIRED = object()


def hard_sigmoid(data: Tensor) -> Tensor:
    """Return the original's, whose sixth is 0.16667."""
    return F.relu6(data + 3) * 0.16667


def identity(data: Tensor) -> Tensor:
    """Return the data as it is."""
    return data


ACTIVATIONS: dict[str, str | Callable[[Tensor], Tensor]] = {
    "gelu": "gelu",  # Keras' own: the exact one
    "gelu_erf": "gelu",
    "gelu_tanh": "gelu_tanh",
    "relu": "relu",
    "relu6": "relu6",
    "silu": "silu",
    "swish": "silu",
    "simple_swish": "silu",
    "hard_swish": "hard_swish",
    "mish": "mish",
    "hard_sigmoid": hard_sigmoid,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "elu": F.elu,
    "selu": F.selu,
    "softplus": F.softplus,
    "linear": identity,
    "identity": identity,
}
"""The original's and Keras' activations, and ours: a name, or a function where we have no name for it."""


class Arguments:
    """The arguments of one class, as a translator reads them.

    Every ``get`` makes a name known. `done` refuses what nobody asked for, so that no argument of a
    case is passed over in silence.
    """

    def __init__(self, class_name: str, given: Mapping[str, Any]) -> None:
        self.class_name = class_name
        self._given = dict(given)
        self._known: list[str] = []
        self._names: dict[str, str] = {}

    def get(self, name: str, default: Any = _REQUIRED, *, also: tuple[str, ...] = ()) -> Any:
        """Return an argument, or the original's default.

        Args:
            name: the argument.
            default: what the original takes without it.
            also: other names of it that the original accepts; one that is given wins.

        Raises:
            InputError: it has no default and was not given.
        """
        keys = [self._names.get(key, key) for key in (*also, name)]
        self._known += keys
        for key in keys:
            if key in self._given:
                return self._given[key]
        if default is _REQUIRED:
            raise InputError(f"{self.class_name} needs {keys[-1]}; the config has {list(self._given)}")
        return default

    def activation(
        self, name: str, default: str = "gelu_tanh", *, also: tuple[str, ...] = ()
    ) -> ActivationName:
        """Return an activation under our name for it, or (told to the type checker as a name) a function.

        A plain ``gelu`` of the original is the exact one; None is no activation.
        """
        value = self.get(name, default, also=also)
        value = "linear" if value is None else value
        check_choice(f"{self.class_name}.{name}", value, list(ACTIVATIONS))
        return cast(ActivationName, ACTIVATIONS[value])

    def rename(self, **names: str) -> Arguments:
        """Let arguments be asked for under another name than the config has: ``new="old"``."""
        self._names |= names
        return self

    def ignore(self, *names: str) -> None:
        """Make known arguments that have no effect on any output, besides the usual ones."""
        self._known += names

    def only(self, name: str, *allowed: Any) -> None:
        """Refuse an argument unless it is one of the values that are supported (the first: its default).

        Raises:
            InputError: it has another value.
        """
        value = self.get(name, allowed[0])
        if value not in allowed:
            raise InputError(f"{self.class_name}.{name}={value!r} is not supported: only {list(allowed)}")

    def done(self) -> None:
        """Refuse arguments that were not asked for.

        Raises:
            InputError: there are some; the message lists the known ones.
        """
        self._known += FILLERS
        known = sorted(set(self._known))
        unknown = [name for name in self._given if name not in known]
        if unknown:
            raise InputError(
                *(
                    f"{self.class_name} has no argument {name}={self._given[name]!r}{nearest(name, known)} "
                    f"(known: {known})"
                    for name in unknown
                )
            )
