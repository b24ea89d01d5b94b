"""How many configurations a space holds."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

from nas.search.spaces.conditions import Condition, Every, Holds
from nas.search.spaces.parameters import Choice, Parameter, Range
from nas.search.spaces.reading import Entry
from nas.search.spaces.slots import Slots

_MOST = 12
"""Of more blocks with settings of their own, the number would take too long; it is told from above."""


def count(entries: Iterable[Entry], *, continuous: bool) -> float:
    """Return the number of configurations; what a ``when`` leaves out is counted.

    Args:
        entries: of the space.
        continuous: whether a continuous range counts, as infinitely many.
    """
    total = 1.0
    of_blocks: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(lambda: 1.0))
    lists: list[Slots] = []
    for entry in entries:
        if isinstance(entry, Slots):
            lists.append(entry)
            continue
        size = entry.size()
        size = size if continuous or size < math.inf else 1.0
        holder = _holder(entry.condition)
        if holder is None:
            total *= size
        else:
            of_blocks[holder.slots.key][holder.block] *= size
    return total * math.prod(_lists(slots, of_blocks[slots.key]) for slots in lists)


def _lists(slots: Slots, settings: Mapping[str, float]) -> float:
    """Return the number of lists, each with the settings of the blocks in it."""
    others = [p for p in (slots.repeat, slots.total, slots.tie) if isinstance(p, Choice | Range)]
    tail = math.prod(p.size() for p in others)
    return tail * sum(_of_length(slots, n, settings) for n in _lengths(slots))


def _lengths(slots: Slots) -> list[int]:
    length: Parameter | None = slots.length
    if length is None:
        return [len(slots.items)]
    if isinstance(length, Choice):
        return [int(n) for n in length.choices]  # type: ignore[arg-type]
    return list(range(int(length.low), int(length.high) + 1, int(length.step or 1)))


def _of_length(slots: Slots, length: int, settings: Mapping[str, float]) -> float:
    """Return the sum over all lists of the product of the settings of the blocks that they hold.

    By inclusion and exclusion over which of these blocks a list may hold at all.
    """
    choices = [set(slots.names_in(c)) & settings.keys() for c in slots.items[0].choices]
    blocks = list(settings)
    if len(blocks) > _MOST or math.inf in settings.values():
        return math.prod(settings.values()) * float(len(choices)) ** length
    total = 0.0
    for kept in itertools.product((False, True), repeat=len(blocks)):
        allowed = {block for block, keep in zip(blocks, kept, strict=True) if keep}
        lists = float(sum(names <= allowed for names in choices)) ** length
        total += lists * math.prod(settings[b] if b in allowed else 1 - settings[b] for b in blocks)
    return total


def _holder(condition: Condition | None) -> Holds | None:
    parts = condition.conditions if isinstance(condition, Every) else (condition,)
    return next((part for part in parts if isinstance(part, Holds)), None)
