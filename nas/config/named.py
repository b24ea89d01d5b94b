"""The keys of a configuration that a block's mistake is about, in place of the arguments that it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nas.errors import InputError
from nas.slots import expand

_BLOCK = re.compile(r"(?:hidden_cls\[(\d+)\]=\w+|encoder\.blocks\.(\w+)): ")
_INNER = re.compile(r"(\w+(?:\.\w+)*)=\w+: ")
_ARGUMENT = re.compile(r"(?<![\w.])([a-z_]\w*)=([^\s,;:()]+)")
_LINK = re.compile(r"\$\{([\w.]+)\}")


def with_keys(mistakes: Iterable[str], encoder: Mapping[str, Any], plain: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with blocks of a pool, ``num_heads=5`` as ``encoder.blocks.attn.num_heads=5``.

    An argument that is a link has the key that the link names.

    Args:
        mistakes: sentences; those that begin with no slot or block of the pool stay as they are.
        encoder: its node, links followed.
        plain: the whole configuration, links kept.
    """
    return [_with_keys(mistake, encoder, plain) for mistake in mistakes]


def _with_keys(mistake: str, encoder: Mapping[str, Any], plain: Mapping[str, Any]) -> str:
    begins = _BLOCK.match(mistake)
    name = begins and (begins[2] or _named(int(begins[1]), encoder))
    if not begins or not name:
        return mistake
    end = begins.end()
    while (inner := _INNER.match(mistake, end)) and _node(encoder, f"{name}.{inner[1]}"):
        name, end = f"{name}.{inner[1]}", inner.end()
    values, kept = _node(encoder, name), _node(plain.get("encoder"), name)

    def key(found: re.Match[str]) -> str:
        argument, value = found.groups()
        if argument not in values or str(values[argument]) != value:
            return found[0]  # of something inside it
        link = _LINK.fullmatch(str(kept.get(argument)))
        return f"{link[1] if link else f'encoder.blocks.{name}.{argument}'}={value}"

    return mistake[:end] + _ARGUMENT.sub(key, mistake[end:])


def _named(index: int, encoder: Mapping[str, Any]) -> str | None:
    """Return the name in a slot."""
    try:
        slot = expand(encoder["hidden_cls"], encoder.get("num_layers"))[index]
    except (InputError, IndexError):
        return None
    return slot if isinstance(slot, str) else None


def _node(encoder: Any, name: str) -> Mapping[str, Any]:
    """Return the node of a block of the pool, or of one inside it, by its dotted name."""
    node = encoder
    for part in ("blocks", *name.split(".")):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) else {}
