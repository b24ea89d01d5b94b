"""The list of slots that an encoder config names: tiled to a depth, checked against the pool."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from nas.errors import InputError, nearest


def expand(hidden_cls: Sequence[Any], num_layers: int | None) -> list[Any]:
    """Return ``hidden_cls``, tiled to ``num_layers`` slots where that is given.

    A pattern shorter than the depth is repeated, and its last repetition may be cut.

    Raises:
        InputError: the list is empty, or longer than ``num_layers``.
    """
    if not hidden_cls:
        raise InputError("encoder.hidden_cls=[] is empty: at least one slot is needed")
    if num_layers is None:
        return list(hidden_cls)
    if num_layers < len(hidden_cls):
        raise InputError(
            f"encoder.hidden_cls has {len(hidden_cls)} slots but encoder.num_layers={num_layers}: "
            "a pattern may be shorter than the depth, not longer"
        )
    return [hidden_cls[i % len(hidden_cls)] for i in range(num_layers)]


def unknown_names(hidden_cls: Sequence[Any], blocks: Collection[str]) -> list[str]:
    """Return one sentence for each slot that names no block of the pool and is none itself."""
    return [
        f"encoder.hidden_cls.{i}={slot!r} is not in encoder.blocks {sorted(blocks)}"
        f"{nearest(str(slot), blocks)}"
        for i, slot in enumerate(hidden_cls)
        if (isinstance(slot, str) and slot not in blocks) or _is_plain(slot)
    ]


def _is_plain(slot: Any) -> bool:
    return (
        slot is None
        or isinstance(slot, int | float | list)
        or (isinstance(slot, dict) and "_target_" not in slot)
    )
