"""The arguments that a block is built with: whether each is of the right kind, and names in messages."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from nas.errors import InputError


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_KINDS: dict[Any, tuple[str, Callable[[object], bool]]] = {
    int: ("an integer", _is_integer),
    float: ("a finite number", _is_number),
    bool: ("True or False", lambda value: isinstance(value, bool)),
    str: ("a text", lambda value: isinstance(value, str)),
    Mapping: ("a dict", lambda value: isinstance(value, Mapping)),
    Callable: ("a function", callable),
    NoneType: ("None", lambda value: value is None),
}


def check_kinds(cls: type, config: Mapping[str, Any]) -> None:
    """Raise `InputError` naming every argument of ``cls`` that is no number, text, ... where one belongs.

    Annotations of other kinds are not checked (a ``Literal`` is: by the block that has it).
    """
    kinds = _kinds(cls)
    wrong = [
        f"{name}={value!r} must be {' or '.join(_KINDS[kind][0] for kind in kinds[name])}"
        for name, value in config.items()
        if name in kinds and not any(_KINDS[kind][1](value) for kind in kinds[name])
    ]
    if wrong:
        raise InputError(*wrong)


def renamed(error: InputError, names: Mapping[str, str]) -> InputError:
    """Return the error with other names for arguments: ``num_heads=3`` as ``num_attention_heads=3``."""
    pattern = re.compile(rf"\b({'|'.join(names)})(?==)")
    return InputError(*(pattern.sub(lambda found: names[found[1]], m) for m in error.mistakes))


@cache
def _kinds(cls: type) -> dict[str, tuple[Any, ...]]:
    """Return the kinds that each argument may be of, for those whose kinds are all known here."""
    hints: dict[str, Any] = {}
    for parent in reversed(cls.__mro__):
        if "__init__" in vars(parent):
            try:
                hints |= get_type_hints(vars(parent)["__init__"])
            except NameError:  # names that are there for type checkers only
                continue
    found = {name: _alternatives(hints[name]) for name in inspect.signature(cls).parameters if name in hints}
    return {name: kinds for name, kinds in found.items() if all(kind in _KINDS for kind in kinds)}


def _alternatives(hint: Any) -> tuple[Any, ...]:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return tuple(kind for part in get_args(hint) for kind in _alternatives(part))
    return (origin or hint,)
