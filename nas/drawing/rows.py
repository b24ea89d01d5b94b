"""What a drawing shows in a line: a part of the encoder, where it stands, and what is written beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nas.strip import clip, sizes

BOX = 32.0
"""The height of a box."""
_GAP, _BESIDE, _TITLE, _FOOT = 14.0, 6.0, 30.0, 8.0

_QUIET_SETTINGS = ("norm_epsilon", "hidden_size", "seq_length", "max_seq_length")
_COMMON_SETTINGS = ("norm", "norm_type", "residual", "dropout")
_USUAL = (False, 0, "", "none", "add")


@dataclass
class Row:
    """One line: a box, what it is, and its sizes (None: not known, or not counted).

    Attributes:
        label: written in the box.
        role: gives its colour; empty: a plain box.
        notes: its settings, most telling first.
        parameters, flops: of this part.
        title: shown under the pointer.
        place: the slot's index, as text.
        shared: whether an earlier part holds its weights.
        inner: the lines inside its box.
        loops: how often those run.
        parallel: whether those run side by side.
        depth: how many boxes it stands in.
        y, height: of its box.
    """

    label: str
    role: str
    notes: list[str]
    parameters: float | None
    flops: float | None
    title: str
    place: str = ""
    shared: bool = False
    inner: list[Row] = field(default_factory=list)
    loops: int = 1
    parallel: bool = False
    depth: int = 0
    y: float = 0.0
    height: float = BOX

    @property
    def middle(self) -> float:
        """Where its name stands: the middle of a box, or of the title of a box of boxes."""
        return self.y + (_TITLE if self.inner else BOX) / 2

    @property
    def end(self) -> float:
        """Where its box ends."""
        return self.y + self.height

    def all(self) -> Iterator[Row]:
        """Yield this line and those inside, from top to bottom."""
        yield self
        for row in self.inner:
            yield from row.all()


def rows_of(description: Mapping[str, Any]) -> list[Row]:
    """Return the lines of a description from top to bottom: embedding, slots, pooler."""
    embedding = description.get("embedding") or {}
    pooler = description.get("pooler") or {}
    first = Row(
        "embedding", "", [str(embedding.get("label", ""))], embedding.get("parameters"), None, "embedding"
    )
    last = Row("pooler", "", [], pooler.get("parameters"), None, "pooler")
    slots = [_slot_row(slot, str(i)) for i, slot in enumerate(description.get("slots") or [])]
    return [first, *slots, last]


def place_rows(rows: Sequence[Row], y: float, depth: int = 0, beside: bool = False) -> float:
    """Give each line its place from ``y`` on, and return where the last one ends."""
    for row in rows:
        row.y, row.depth = y, depth
        if row.inner:
            row.height = place_rows(row.inner, y + _TITLE, depth + 1, row.parallel) + _FOOT - y
        y = row.end + (_BESIDE if beside else _GAP)
    return rows[-1].end if rows else y


def fitting(notes: Sequence[str], width: float, size: float) -> str:
    """Join as many whole notes as fit; an ellipsis stands for the rest."""
    for count in range(len(notes), 0, -1):
        line = " · ".join([*notes[:count], *["…"][: len(notes) - count]])
        if clip(line, width, size) == line:
            return line
    return clip(notes[0], width, size) if notes else ""


def _slot_row(slot: Mapping[str, Any], place: str = "") -> Row:
    settings = slot.get("settings") or {}
    everything = ", ".join(f"{key}={value}" for key, value in settings.items())
    inner = [_slot_row(block) for block in slot.get("inner") or [] if isinstance(block, Mapping)]
    label = str(slot.get("label", "?"))
    loops = slot.get("num_loops")
    parallel = slot.get("layout") == "parallel"
    return Row(
        label=label.partition("(")[0] if inner else label,
        role=str(slot.get("role", "")) or "unknown",
        notes=["passes the data on"] if slot.get("role") == "none" else _key_settings(settings),
        parameters=slot.get("parameters"),
        flops=slot.get("flops_per_token"),
        title=f"{sizes(slot)}\n{slot.get('class', '')}({everything})",
        place=place,
        shared=isinstance(slot.get("shared_with"), int),
        inner=inner,
        loops=loops if isinstance(loops, int) and not parallel else 1,
        parallel=parallel,
    )


def _key_settings(settings: Mapping[str, Any]) -> list[str]:
    """Write what sets a block apart first, and leave out what is empty, zero or the same everywhere."""
    told = {
        k: v
        for k, v in settings.items()
        if k not in _QUIET_SETTINGS and isinstance(v, str | int | float) and v not in _USUAL
    }
    ordered = [k for k in told if k not in _COMMON_SETTINGS] + [k for k in _COMMON_SETTINGS if k in told]
    return [f"{key} {_setting(told[key])}" for key in ordered]


def _setting(value: Any) -> str:
    if value is True:
        return "yes"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
