"""An encoder as a strip of coloured slots (SVG), and the colours and words that its pictures share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nas.progress import quantity

ROLE_COLOURS: dict[str, str] = {
    "attention": "#56b4e9",
    "mixing": "#2fb08a",
    "feedforward": "#eda91f",
    "recursive": "#d78bb5",
    "transformer": "#e5733c",
    "foreign": "#b9c3cd",
    "none": "none",
}
"""One colour for a role, after Okabe and Ito: told apart by colour-blind readers; dark text reads on all."""

INK = "#10181f"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
XMLNS = 'xmlns="http://www.w3.org/2000/svg"'


def strip(
    slots: Sequence[Mapping[str, Any]], *, compact: bool = False, slot_width: float | None = None
) -> str:
    """Return the slots as a row of coloured, labelled boxes; a line below joins slots that share weights.

    Args:
        slots: the ``slots`` of a description; ``label`` and ``role`` are enough.
        compact: low enough for a table's row.
        slot_width: pixels for every slot, to line up several strips; by default the longest label's.
    """
    size, height = (11.0, 18.0) if compact else (13.0, 28.0)
    width = slot_width or label_width(slots, size)
    groups = shared_groups(slots)
    lanes = assign_lanes(groups)
    parts = [_strip_slot(slot, i * (width + 2), width, height, size) for i, slot in enumerate(slots)]
    for group, lane in zip(groups, lanes, strict=True):
        y = height + 3.5 + 4 * lane
        centres = [i * (width + 2) + width / 2 for i in group]
        ticks = "".join(f"M{px(x)} {px(height)}V{px(y)}" for x in centres)
        path = f"{ticks}M{px(centres[0])} {px(y)}H{px(centres[-1])}"
        parts.append(f'<path d="{path}" fill="none" stroke="currentColor"/>')
    total_width = max(len(slots) * (width + 2) - 2, 1)
    total_height = height + (4 * (max(lanes) + 1) + 1 if lanes else 0)
    label = ", ".join(str(slot.get("label", "?")) for slot in slots) or "no slots"
    return (
        f'<svg {XMLNS} width="{px(total_width)}" height="{px(total_height)}" role="img" '
        f'aria-label="{escape(label)}" font-family="{FONT}" font-size="{px(size)}" text-anchor="middle">'
        f"{''.join(parts)}</svg>"
    )


def label_width(slots: Sequence[Mapping[str, Any]], size: float = 11.0) -> float:
    """Return the pixels that the longest label of these slots needs."""
    longest = max((len(str(slot.get("label", "?"))) for slot in slots), default=1)
    return float(math.ceil(min(max(longest, 3), 14) * size * 0.6 + 10))


def shared_groups(slots: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Return the positions of every set of slots that are one module, in order of their first."""
    groups: dict[int, list[int]] = {}
    for index, slot in enumerate(slots):
        first = slot.get("shared_with")
        if isinstance(first, int) and 0 <= first < index:
            groups.setdefault(first, [first]).append(index)
    return [groups[first] for first in sorted(groups)]


def _strip_slot(slot: Mapping[str, Any], x: float, width: float, height: float, size: float) -> str:
    role, label = str(slot.get("role", "")), str(slot.get("label", "?"))
    ink = "currentColor" if role == "none" else INK
    text = escape(clip(label, width - 4, size))
    return (
        f"<g><title>{escape(sizes(slot))}</title>"
        f'<rect x="{px(x)}" width="{px(width)}" height="{px(height)}" rx="3" {fill(role)}/>'
        f'<text x="{px(x + width / 2)}" y="{px(height / 2 + size * 0.36)}" fill="{ink}">'
        f"{text}</text></g>"
    )


def fill(role: str) -> str:
    """Return the attributes that paint a box of this role."""
    if role == "none":
        return 'fill="none" stroke="#8494a3" stroke-dasharray="3 3"'
    return f'fill="{ROLE_COLOURS.get(role, ROLE_COLOURS["foreign"])}"'


def sizes(slot: Mapping[str, Any]) -> str:
    """Say a slot's label and sizes in one line; sizes that are not known are left out."""
    parts = [str(slot.get("label", "?"))]
    shared = slot.get("shared_with")
    if isinstance(shared, int):
        parts.append(f"same weights as slot {shared}")
    elif isinstance(slot.get("parameters"), int | float):
        parts.append(f"{quantity(slot['parameters'])} parameters")
    if isinstance(slot.get("flops_per_token"), int | float):
        parts.append(f"{quantity(slot['flops_per_token'])} FLOPs per token")
    return " · ".join(parts)


def assign_lanes(groups: Sequence[Sequence[int]]) -> list[int]:
    """Give each group (in order of its first position) the lowest lane that is free along its length."""
    ends: list[int] = []
    lanes: list[int] = []
    for group in groups:
        lane = next((i for i, end in enumerate(ends) if end < group[0]), len(ends))
        ends[lane : lane + 1] = [group[-1]]
        lanes.append(lane)
    return lanes


def clip(text: str, width: float, size: float) -> str:
    """Shorten a text to what surely fits into ``width`` pixels at this font size."""
    fits = max(int(width / (size * 0.56)), 1)
    return text if len(text) <= fits else text[: fits - 1] + "…"


def px(value: float) -> str:
    """Write a coordinate, to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")
