"""Links between the keys of a configuration, such as ``${encoder.hidden_size}``, followed without a grammar.

OmegaConf parses every link by a generated parser, half a millisecond each; a configuration has fifty.
"""

from __future__ import annotations

import re
from typing import Any

from omegaconf import OmegaConf

_LINK = re.compile(r"\$\{(\w+(?:\.\w+)*)\}")
_ENVIRONMENT = re.compile(r"\$\{oc\.env:[^${}]*\}")
_DEEPEST = 20
"""Links behind links; more are a circle."""


class _BeyondError(Exception):
    """Something that only OmegaConf can resolve, or tell what is wrong with."""


def resolved(plain: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of plain values with every link followed.

    Links of other forms than ``${absolute.key}`` and ``${oc.env:...}`` are left to OmegaConf.

    Raises:
        OmegaConfBaseException: a link leads nowhere.
    """
    try:
        values: dict[str, Any] = _followed(plain, plain, 0)
    except _BeyondError:
        values = OmegaConf.to_container(OmegaConf.create(plain), resolve=True)  # type: ignore[assignment]
    return values


def followed(value: Any, plain: dict[str, Any]) -> Any:
    """Return a copy of a part of plain values with every link in it followed.

    Raises:
        OmegaConfBaseException: a link leads nowhere.
    """
    try:
        return _followed(value, plain, 0)
    except _BeyondError:
        parted = OmegaConf.create({**plain, "_part_": copied(value)})
        return OmegaConf.to_container(parted, resolve=True)["_part_"]  # type: ignore[index,call-overload]


def value_at(plain: dict[str, Any], key: str) -> Any:
    """Return what stands under a dotted key of plain values, with every link in it followed.

    Raises:
        KeyError: there is nothing, or what is there only OmegaConf can resolve.
    """
    try:
        return _followed(_target(key, plain, 0), plain, 0)
    except _BeyondError:
        raise KeyError(key) from None


def copied(value: Any) -> Any:
    """Return a copy of plain values: dicts and lists are new ones."""
    if isinstance(value, dict):
        return {key: copied(child) for key, child in value.items()}
    return [copied(child) for child in value] if isinstance(value, list) else value


def parted(plain: dict[str, Any], key: str) -> None:
    """Copy all that holds what stands under a dotted key, so that it may be set for ``plain`` alone."""
    holder: Any = plain
    for part in key.split(".")[:-1]:
        place = _place(holder, part)
        if place is None or not isinstance(holder[place], dict | list):
            return
        holder[place] = holder = holder[place].copy()


def set_plain(plain: dict[str, Any], key: str, value: Any) -> bool:
    """Set the value under a dotted key; return False, and do nothing, unless it only replaces a value.

    It does not where the key is absent, holds keys of its own, or is reached through a link.
    """
    *parents, last = key.split(".")
    holder: Any = plain
    for part in parents:
        place = _place(holder, part)
        if place is None:
            return False
        holder = holder[place]
    place = _place(holder, last)
    if place is None or holder[place] == "???" or _holds_keys(plain, holder[place]):
        return False
    holder[place] = value
    return True


def _place(holder: Any, part: str) -> str | int | None:
    if isinstance(holder, dict):
        return part if part in holder else None
    index = int(part) if isinstance(holder, list) and part.isdecimal() else -1
    return index if 0 <= index < len(holder or ()) else None


def _holds_keys(plain: dict[str, Any], value: Any) -> bool:
    try:
        return isinstance(_followed(value, plain, 0), dict)
    except _BeyondError:
        return True  # who knows


def _followed(value: Any, root: dict[str, Any], depth: int) -> Any:
    if isinstance(value, dict):
        return {key: _followed(child, root, depth) for key, child in value.items()}
    if isinstance(value, list):
        return [_followed(child, root, depth) for child in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    link = _LINK.fullmatch(value)
    if link and depth < _DEEPEST:
        return _followed(_target(link[1], root, depth + 1), root, depth + 1)
    if _ENVIRONMENT.fullmatch(value):
        return OmegaConf.create({"it": value}).it
    raise _BeyondError


def _target(key: str, root: dict[str, Any], depth: int) -> Any:
    """Return what stands under a key; links on the way there are followed."""
    node: Any = root
    for part in key.split("."):
        if isinstance(node, str):
            node = _followed(node, root, depth)
        place = _place(node, part)
        if place is None:
            raise _BeyondError
        node = node[place]
    if node == "???":
        raise _BeyondError
    return node
