"""What a translator knows besides its own arguments and weights, and how it reaches the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nas.errors import InputError, not_allowed
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.forms import ClassForm, InstanceForm
from nas.interop.model_garden.weights import Weights

Translator = Callable[[Arguments, Weights, "Context"], nn.Module]
"""Builds our module for one class of the original, and fills it with the weights below a prefix."""


@dataclass(frozen=True)
class Context:
    """The surroundings of a layer.

    Attributes:
        translators: the original's class names and what builds them.
        entry: the manifest's entry.
        extras: arrays that the original drew at random, without ``extras/`` before their names.
        hidden_size: D of what the layer reads; 0 if unknown.
        layer: the index of the layer in its encoder.
        instances: the modules built for the config's objects, by their number.
    """

    translators: Mapping[str, Translator]
    entry: Mapping[str, Any]
    extras: Mapping[str, Any]
    hidden_size: int = 0
    layer: int = 0
    instances: dict[str, nn.Module] = field(default_factory=dict)

    def at(self, **changes: Any) -> Context:
        """Return the surroundings with another ``layer`` or ``hidden_size``."""
        return dataclasses.replace(self, **changes)

    def translate(self, form: Any, given: Mapping[str, Any] | None, weights: Weights) -> nn.Module:
        """Return our module for a class with the given arguments, or for an object (built once).

        Raises:
            InputError: the class is unknown, or something about it is not supported.
        """
        if isinstance(form, InstanceForm):
            if form.number not in self.instances:
                self.instances[form.number] = self._build(form.name, form.config, weights)
            return self.instances[form.number]
        if isinstance(form, ClassForm):
            return self._build(form.name, given or {}, weights)
        raise InputError(f"config: {form!r} is neither a $class nor an $instance")

    def input_shape(self, *names: str) -> tuple[int, ...]:
        """Return the shape of the first input that has one of these names."""
        inputs = self.entry.get("inputs") or {}
        for name in names or inputs:
            if name in inputs:
                return tuple(inputs[name]["shape"])
        raise InputError(f"entry.inputs has none of {list(names)}; it has {list(inputs)}")

    @property
    def seq_length(self) -> int:
        """T of the case's inputs: fixed-length layers of the original read it from them."""
        return self.input_shape()[1]

    def extra(self, name: str) -> Tensor:
        """Return the array that the original drew for this layer.

        Raises:
            InputError: there is none.
        """
        for key in (f"{name}/{self.layer}", name):
            if key in self.extras:
                return torch.as_tensor(self.extras[key])
        raise InputError(f"extras have no {name}/{self.layer}; they have {sorted(self.extras)}")

    def _build(self, name: str, given: Mapping[str, Any], weights: Weights) -> nn.Module:
        if name not in self.translators:
            raise InputError(not_allowed("config: class", name, sorted(self.translators)))
        arguments = Arguments(name, given)
        module = self.translators[name](arguments, weights, self)
        arguments.done()
        return module
