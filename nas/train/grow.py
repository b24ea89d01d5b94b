"""How the slots of a trained encoder become those of another: the same, wider, or with new ones between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from nas.blocks.base import Block

Slot = Mapping[str, Any]
"""One of the ``slots`` of an encoder's description (`nas.costs.describe`)."""
_LEARNT_ALIKE = ("dropout", "initializer", "residual_init", "max_seq_length", "seq_length")
"""Settings with these words in their names change what is learnt; shapes tell whether lengths fit."""
_NEVER = 10**6


@dataclass(frozen=True)
class Change:
    """A setting that differs between a trained slot and the one that takes its place.

    Attributes:
        key: its name, after those of the blocks that it is inside of.
        old: the trained value.
        new: the value here.
        grows: whether the block keeps its function.
    """

    key: str
    old: Any
    new: Any
    grows: bool

    def __str__(self) -> str:
        return f"{self.key}={self.old} there, {self.new} here"


def changes(old: Slot, new: Slot, block: nn.Module, within: str = "") -> list[Change]:
    """Return the settings that differ and shape the function; ``class`` if the blocks differ altogether."""
    if old["class"] != new["class"]:
        return [Change(f"{within}class", old["class"], new["class"], False)]
    found = list(_setting_changes(old["settings"], new["settings"], block, within))
    inside = [s.get("inner", []) for s in (old, new)]
    if len(inside[0]) != len(inside[1]):
        return [*found, Change(f"{within}span", f"{len(inside[0])} blocks", len(inside[1]), False)]
    for index, inner in enumerate(getattr(block, "inner_blocks", ())):
        found += changes(inside[0][index], inside[1][index], inner, f"{within}span.{index}.")
    return found


def _setting_changes(
    old: Mapping[str, Any], new: Mapping[str, Any], block: nn.Module, within: str
) -> Iterator[Change]:
    widenings = block.widenings if isinstance(block, Block) else {}
    for key in {**old, **new}:
        before, after = old.get(key), new.get(key)
        if before == after or any(word in key for word in _LEARNT_ALIKE):
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _setting_changes(before, after, getattr(block, key, block), f"{within}{key}.")
        else:
            numbers = all(isinstance(value, int | float) for value in (before, after))
            grows = key in widenings and numbers and before < after  # type: ignore[operator]
            yield Change(f"{within}{key}", before, after, grows)


def align(
    old: Sequence[Slot], new: Sequence[Slot], blocks: Sequence[nn.Module], grow: bool
) -> list[int | None] | None:
    """Return for each new slot the trained one that it takes the place of, or None for an inserted one.

    Every trained slot is used, in order; equal slots are preferred to widened ones, and the first
    that fits to later ones. Without ``grow`` nothing is inserted or widened.

    Returns:
        None if that is not possible.
    """
    rows, columns = len(old), len(new)
    costs = [[_NEVER] * (columns + 1) for _ in range(rows + 1)]
    match = [[_cost(o, n, b, grow) for n, b in zip(new, blocks, strict=True)] for o in old]
    insert = 0 if grow else _NEVER
    costs[rows][columns] = 0
    for i in range(rows, -1, -1):
        for j in range(columns - 1, -1, -1):
            taken = match[i][j] + costs[i + 1][j + 1] if i < rows else _NEVER
            costs[i][j] = min(taken, insert + costs[i][j + 1])
    if costs[0][0] >= _NEVER:
        return None
    found: list[int | None] = []
    i = 0
    for j in range(columns):
        takes = i < rows and costs[i][j] == match[i][j] + costs[i + 1][j + 1]
        found.append(i if takes else None)
        i += takes
    return found


def _cost(old: Slot, new: Slot, block: nn.Module, grow: bool) -> int:
    found = changes(old, new, block)
    if not found:
        return 0
    return 1 if grow and all(change.grows for change in found) else _NEVER


def differences(old: Sequence[Slot], new: Sequence[Slot], blocks: Sequence[nn.Module]) -> list[str]:
    """Say where two lists of slots differ, slot by slot."""
    told = [
        f"slot {index} ({there['label']}): {change}"
        for index, (there, here, block) in enumerate(zip(old, new, blocks, strict=False))
        for change in changes(there, here, block)
    ]
    if len(old) != len(new):
        told.append(f"{len(old)} slots there, {len(new)} here")
    return told
