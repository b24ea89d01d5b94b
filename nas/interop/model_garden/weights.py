"""The original's weights: read by name, converted to our shapes, each used exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.errors import InputError, nearest

State = dict[str, Tensor]
"""Parameter names below a module, to their values."""


@dataclass
class _Ledger:
    """What is shared by all views of one checkpoint: the values, and what became of them."""

    values: dict[str, Tensor]
    aliases: dict[str, str]
    read: set[str] = field(default_factory=set)
    filled: dict[int, Tensor] = field(default_factory=dict)  # the tensors are kept, so that ids stay theirs


SECTIONS = ("inputs", "weights", "outputs", "probe", "extras", "meta")
"""What the names of a case's npz file start with."""


class Weights:
    """The weights whose names start with a prefix; names are given without it.

    A weight may be read once: a module that stands in several places is built once, and so is filled
    from the first of them. Its other names (``aliases``) lead to the same weight.
    """

    def __init__(self, ledger: _Ledger, prefix: str = "") -> None:
        self._ledger, self._prefix = ledger, prefix

    @classmethod
    def of(cls, arrays: Mapping[str, Any], listed: Iterable[Mapping[str, Any]] = ()) -> Weights:
        """Return all weights of a checkpoint.

        Args:
            arrays: names, with or without ``weights/`` before them, to arrays.
            listed: the manifest's ``weights``: each with its ``key`` and ``aliases``.
        """
        aliases = {alias: w["key"] for w in listed for alias in w.get("aliases") or ()}
        values: dict[str, Tensor] = {}
        for name, array in without_prefix(arrays, "weights").items():
            if name not in aliases:
                values[name] = _tensor(array)
            elif aliases[name] not in arrays and f"weights/{aliases[name]}" not in arrays:
                values[aliases[name]] = _tensor(array)
        return cls(_Ledger(values, aliases))

    def below(self, *path: str | int) -> Weights:
        """Return the view whose prefix is this one's and the path."""
        return Weights(self._ledger, "/".join([self._prefix, *map(str, path)]).strip("/"))

    def __contains__(self, name: str) -> bool:
        """Whether a weight has that name, or starts with it."""
        key = self._key(name)
        known = (*self._ledger.values, *self._ledger.aliases)
        return key in self._ledger.values or any(other.startswith(f"{key}/") for other in known)

    def names(self) -> list[str]:
        """Return the names below the prefix."""
        start = f"{self._prefix}/" if self._prefix else ""
        return [k.removeprefix(start) for k in self._ledger.values if k.startswith(start)]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a weight's shape without using it up."""
        return tuple(self._look_up(name).shape)

    def take(self, name: str) -> Tensor:
        """Return a weight, which counts as used from now on.

        Raises:
            InputError: there is none of that name, or it was used before.
        """
        value, key = self._look_up(name), self._key(name)
        if key in self._ledger.read:
            raise InputError(f"weight {key!r} is wanted twice: two modules here, one in the original")
        self._ledger.read.add(key)
        return value

    def skip(self, *names: str) -> None:
        """Count weights as used, if they are there: they have no effect on any output."""
        own = (f"{self._prefix}/{name}".strip("/") for name in names)
        self._ledger.read.update(key for key in own if key in self._ledger.values)

    def fill(self, module: nn.Module, **state: Tensor | State) -> None:
        """Copy values into a module's parameters: a tensor, or a dict of those of a submodule.

        Dots in a submodule's name are written as two underscores: ``inner__weight``.

        Raises:
            InputError: the module has no such parameter, or one of another shape.
        """
        own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        for name, value in _flat(state).items():
            if name not in own:
                raise InputError(
                    f"{self._where()}: {type(module).__name__} has no parameter {name!r}; it has {list(own)}"
                )
            if own[name].shape != value.shape:
                raise InputError(
                    f"{self._where()}: {name!r} of {type(module).__name__} has shape "
                    f"{list(own[name].shape)}, the weights have {list(value.shape)}"
                )
            with torch.no_grad():
                own[name].copy_(value)
            self._ledger.filled[id(own[name])] = own[name]

    def check_complete(self, module: nn.Module) -> None:
        """Raise `InputError` unless every weight was used and every parameter of ``module`` filled."""
        unused = sorted(set(self._ledger.values) - self._ledger.read)
        empty = [n for n, p in module.named_parameters() if id(p) not in self._ledger.filled]
        mistakes = []
        if unused:
            mistakes.append(f"weights that nothing here uses: {unused}")
        if empty:
            mistakes.append(f"parameters of {type(module).__name__} that no weight fills: {empty}")
        if mistakes:
            raise InputError(*mistakes)

    def dense(self, name: str) -> State:
        """Return a Dense or EinsumDense layer [in, out] as an `nn.Linear`'s weight and bias."""
        return self._with_bias(name, self.take(f"{name}/kernel").T)

    def to_heads(self, name: str) -> State:
        """Return a projection [D, H, K] with bias [H, K] (or with one head: [D, K]) as a Linear's."""
        kernel = self.take(f"{name}/kernel")
        return self._with_bias(name, kernel.reshape(kernel.shape[0], -1).T)

    def from_heads(self, name: str) -> State:
        """Return a projection [H, K, D] with bias [D] as a Linear's."""
        kernel = self.take(f"{name}/kernel")
        return self._with_bias(name, kernel.reshape(-1, kernel.shape[-1]).T)

    def norm(self, name: str) -> State:
        """Return a LayerNorm's gamma and beta (or scale and bias, or RMSNorm's scale alone)."""
        scale = "gamma" if f"{name}/gamma" in self else "scale"
        shift = "beta" if f"{name}/beta" in self else "bias"
        state = {"weight": self.take(f"{name}/{scale}").reshape(-1)}
        if f"{name}/{shift}" in self:
            state["bias"] = self.take(f"{name}/{shift}").reshape(-1)
        return state

    def _with_bias(self, name: str, weight: Tensor) -> State:
        bias = f"{name}/bias"
        return {"weight": weight, **({"bias": self.take(bias).reshape(-1)} if bias in self else {})}

    def _key(self, name: str) -> str:
        key = f"{self._prefix}/{name}".strip("/")
        return self._ledger.aliases.get(key, key)

    def _look_up(self, name: str) -> Tensor:
        key = self._key(name)
        if key not in self._ledger.values:
            there = self.names()
            raise InputError(f"weight {key!r} is missing; {self._where()} has {there}{nearest(name, there)}")
        return self._ledger.values[key]

    def _where(self) -> str:
        return f"weights/{self._prefix}".strip("/")


def stack(*states: State) -> State:
    """Return the projections as one, with their output rows one after another (query, key, value)."""
    return {name: torch.cat([state[name] for state in states]) for name in states[0]}


def without_prefix(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return what lies below ``prefix/``, or everything if the names have no section before them."""
    start = f"{prefix}/"
    if any(key.partition("/")[0] in SECTIONS for key in arrays):
        return {key.removeprefix(start): arrays[key] for key in arrays if key.startswith(start)}
    return {key: arrays[key] for key in arrays}


def _tensor(array: Any) -> Tensor:
    return array.detach().clone() if isinstance(array, Tensor) else torch.tensor(np.asarray(array))


def _flat(state: Mapping[str, Tensor | State]) -> State:
    flat: State = {}
    for name, value in state.items():
        name = name.replace("__", ".")
        if isinstance(value, Tensor):
            flat[name] = value
        else:
            flat |= {f"{name}.{inner}": tensor for inner, tensor in value.items()}
    return flat
