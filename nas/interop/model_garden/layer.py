"""A single layer of a manifest: called with the case's inputs, under the original's argument names."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from nas.blocks.base import Block
from nas.errors import InputError

CALLS: dict[str, Callable[[], nn.Module]] = {}
"""Entries whose ``call`` is a word instead of an expression: what they return is built by these."""


class Layer(nn.Module):
    """Our module for one layer of the original, called with the inputs of its case.

    Args:
        layer: our module; its forward has the original's argument names.
        input_order: the inputs' names.
        positions: what is passed by position: an input's name, or a constant.
        keywords: what is passed by name, likewise.
    """

    def __init__(
        self,
        layer: nn.Module,
        input_order: list[str],
        positions: list[Any],
        keywords: dict[str, Any],
    ) -> None:
        super().__init__()
        self.layer = layer
        self.input_order, self.positions, self.keywords = input_order, positions, keywords

    @classmethod
    def of(cls, layer: nn.Module, entry: Mapping[str, Any]) -> Layer:
        """Read the entry's ``call``, such as ``layer(query=x, training=False)``; nothing is executed.

        Raises:
            InputError: it is no plain call of inputs and constants.
        """
        order = list(entry.get("input_order") or entry.get("inputs") or ())
        call = entry.get("call") or ""
        if call in CALLS or not call:
            return cls(layer, order, [_Name(name) for name in order], {})
        node = _parsed(call)
        positions = [_read(argument, order, call) for argument in node.args]
        keywords = {str(k.arg): _read(k.value, order, call) for k in node.keywords if k.arg != "training"}
        return cls(layer, order, positions, keywords)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Call the layer with the case's inputs: in order (or one list of them), or by name (or a dict).

        Names are the case's, or the original's arguments'.

        Raises:
            InputError: an input is missing.
        """
        ordered: Sequence[Any] = inputs
        if len(inputs) == 1 and isinstance(inputs[0], list | tuple):
            ordered = inputs[0]
        elif len(inputs) == 1 and isinstance(inputs[0], Mapping):
            ordered, named = (), {**inputs[0], **named}
        renamed = {word: value for word, value in self.keywords.items() if isinstance(value, _Name)}
        given = dict(zip(self.input_order, ordered, strict=False))
        given |= {renamed.get(name, name): value for name, value in named.items()}
        missing = [name for name in self.input_order if name not in given]
        if missing:
            raise InputError(f"inputs {missing} are missing; the layer takes {self.input_order}")
        return self.layer(*_filled(self.positions, given), **_filled(self.keywords, given))


class Listed(nn.Module):
    """A transformer layer under the original's call: one list of data, mask and perhaps a state."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block

    def forward(self, inputs: Any) -> Any:
        """Return what the block does for data [B, T, D], or for [data, mask] or [data, mask, state].

        Raises:
            InputError: the list holds keys of their own between data and mask.
        """
        given = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        if len(given) == 3 and not self.block.recursive:
            raise InputError(
                f"{type(self.block).__name__} takes [data, attention_mask]: keys and values are made of data"
            )
        return self.block(*given)


class _Name(str):
    """The name of an input, as distinct from a constant that is a text."""


def _filled(value: Any, given: Mapping[str, Any]) -> Any:
    """Return the arguments of a call with inputs in place of their names."""
    if isinstance(value, _Name):
        return given[value]
    if isinstance(value, dict):
        return {key: _filled(item, given) for key, item in value.items()}
    return [_filled(item, given) for item in value] if isinstance(value, list) else value


def _parsed(call: str) -> ast.Call:
    try:
        node = ast.parse(call, mode="eval").body
    except SyntaxError as error:
        raise InputError(f"entry.call={call!r} is not an expression: {error.msg}") from None
    if not isinstance(node, ast.Call):
        raise InputError(f"entry.call={call!r} is not a call such as layer(x), nor one of {sorted(CALLS)}")
    return node


def _read(node: ast.expr, order: list[str], call: str) -> Any:
    if isinstance(node, ast.Name) and node.id in order:
        return _Name(node.id)
    if isinstance(node, ast.List | ast.Tuple):
        return [_read(item, order, call) for item in node.elts]
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = [ast.literal_eval(key) for key in node.keys if key is not None]
        return dict(zip(keys, (_read(item, order, call) for item in node.values), strict=True))
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise InputError(
            f"entry.call={call!r}: {ast.unparse(node)!r} is neither an input ({order}) nor a constant"
        ) from None
