"""The full drawing (SVG) of one encoder from its plain description: slots, sizes, sharing, state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from nas.progress import quantity
from nas.strip import (
    FONT,
    INK,
    ROLE_COLOURS,
    XMLNS,
    assign_lanes,
    clip,
    fill,
    px,
    shared_groups,
    sizes,
    strip,
)

__all__ = ["drawing", "strip"]

_STYLE = """
.nas-paper{fill:#ffffff;stroke:#d5dce3}.nas-ink{fill:#18222c}.nas-dim{fill:#586673}
.nas-plain{fill:#eef2f5;stroke:#aab6c1}.nas-bar{fill:#8497a8}.nas-track{fill:#e6ebef}
.nas-line{stroke:#7d8b99;fill:none}.nas-head{fill:#7d8b99}.nas-link{stroke:#18222c;fill:none}
.nas-knot{fill:#18222c}.nas-state{stroke:#a8417f;fill:none}.nas-state-head{fill:#a8417f}
@media screen and (prefers-color-scheme:dark){
.nas-paper{fill:#151c23;stroke:#323d48}.nas-ink{fill:#e8edf2}.nas-dim{fill:#9dabb8}
.nas-plain{fill:#25303a;stroke:#56646f}.nas-bar{fill:#7f93a6}.nas-track{fill:#2a3540}
.nas-line{stroke:#7f8d9a}.nas-head{fill:#7f8d9a}.nas-link{stroke:#e8edf2}
.nas-knot{fill:#e8edf2}.nas-state{stroke:#e59cc6}.nas-state-head{fill:#e59cc6}}
"""

_QUIET_SETTINGS = ("norm_epsilon", "hidden_size", "seq_length")
_COMMON_SETTINGS = ("norm", "norm_type", "dropout")

_WIDTH, _MARGIN, _TOP, _ROW, _BOX = 900.0, 24.0, 106.0, 46.0, 32.0
_PARAMETERS_X, _FLOPS_X, _BAR = 560.0, 730.0, 78.0


@dataclass(frozen=True)
class _Row:
    """One line of the drawing: a box, what it is, and its sizes (None: not known, or not counted)."""

    label: str
    role: str
    notes: list[str]
    parameters: float | None
    flops: float | None
    title: str
    place: str = ""
    shared: bool = False


@dataclass
class _Canvas:
    """The pieces of the picture, and the columns that depend on how many links there are."""

    description: Mapping[str, Any]
    links: list[list[int]]
    states: list[list[int]]
    parts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.link_lanes, self.state_lanes = assign_lanes(self.links), assign_lanes(self.states)
        self.box_x = _MARGIN + 20 + 14 * (max(self.link_lanes, default=-1) + 1)
        self.box_end = self.box_x + 132
        self.note_x = self.box_end + 16 + 16 * (max(self.state_lanes, default=-1) + 1)

    def text(
        self, x: float, y: float, text: str, kind: str = "ink", size: float = 13, extra: str = ""
    ) -> None:
        """Add one line of text that starts at ``x`` unless ``extra`` anchors it elsewhere."""
        self.parts.append(
            f'<text x="{px(x)}" y="{px(y)}" class="nas-{kind}" font-size="{px(size)}" {extra}>'
            f"{escape(text)}</text>"
        )

    def line(self, path: str, kind: str = "line", extra: str = "") -> None:
        """Add a stroke."""
        self.parts.append(f'<path d="{path}" class="nas-{kind}" {extra}/>')


def drawing(description: Mapping[str, Any]) -> str:
    """Return the whole encoder as a self-contained SVG: every slot with its settings and sizes.

    Args:
        description: what `nas.cost.describe` returns, or the content of ``architecture.json``.
    """
    slots = list(description.get("slots") or [])
    canvas = _Canvas(description, shared_groups(slots), _state_groups(slots))
    rows = _rows(description, slots)
    height = _TOP + len(rows) * _ROW + 82
    _header(canvas)
    for index, row in enumerate(rows):
        _draw_row(canvas, row, _TOP + index * _ROW, last=index == len(rows) - 1)
    _draw_links(canvas)
    _draw_states(canvas)
    _footer(canvas, slots, _TOP + len(rows) * _ROW)
    name = escape(f"Encoder {description.get('string', '')}")
    w, h = px(_WIDTH), px(height)
    return (
        f'<svg {XMLNS} viewBox="0 0 {w} {h}" width="{w}" height="{h}" '
        f'role="img" aria-label="{name}" font-family="{FONT}"><title>{name}</title><style>{_STYLE}</style>'
        f'<rect x=".5" y=".5" width="{px(_WIDTH - 1)}" height="{px(height - 1)}" rx="10" class="nas-paper"/>'
        f"{''.join(canvas.parts)}</svg>\n"
    )


def _state_groups(slots: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Return the positions of the recursive slots, one list for each kind of state."""
    kinds: dict[str, list[int]] = {}
    for index, slot in enumerate(slots):
        if slot.get("recursive"):
            kinds.setdefault(str(slot.get("state_kind", "state")), []).append(index)
    return list(kinds.values())


def _rows(description: Mapping[str, Any], slots: Sequence[Mapping[str, Any]]) -> list[_Row]:
    embedding = description.get("embedding") or {}
    pooler = description.get("pooler") or {}
    first = _Row(
        "embedding", "", [str(embedding.get("label", ""))], embedding.get("parameters"), None, "embedding"
    )
    last = _Row("pooler", "", [], pooler.get("parameters"), None, "pooler")
    return [first, *(_slot_row(slot, i) for i, slot in enumerate(slots)), last]


def _slot_row(slot: Mapping[str, Any], index: int) -> _Row:
    shared = slot.get("shared_with")
    settings = slot.get("settings") or {}
    everything = ", ".join(f"{key}={value}" for key, value in settings.items())
    return _Row(
        label=str(slot.get("label", "?")),
        role=str(slot.get("role", "")) or "unknown",
        notes=["passes the data on"] if slot.get("role") == "none" else _key_settings(settings),
        parameters=slot.get("parameters"),
        flops=slot.get("flops_per_token"),
        title=f"{sizes(slot)}\n{slot.get('class', '')}({everything})",
        place=str(index),
        shared=isinstance(shared, int),
    )


def _key_settings(settings: Mapping[str, Any]) -> list[str]:
    """Write what sets a block apart first, and leave out what is empty, zero or the same everywhere."""
    told = {
        k: v for k, v in settings.items() if v not in (None, False, 0, "", []) and k not in _QUIET_SETTINGS
    }
    ordered = [k for k in told if k not in _COMMON_SETTINGS] + [k for k in _COMMON_SETTINGS if k in told]
    return [f"{key} {_setting(told[key])}" for key in ordered]


def _fitting(notes: Sequence[str], width: float, size: float) -> str:
    """Join as many whole notes as fit; an ellipsis stands for the rest."""
    for count in range(len(notes), 0, -1):
        line = " · ".join([*notes[:count], *["…"][: len(notes) - count]])
        if clip(line, width, size) == line:
            return line
    return clip(notes[0], width, size) if notes else ""


def _setting(value: Any) -> str:
    if value is True:
        return "yes"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _header(canvas: _Canvas) -> None:
    told = canvas.description
    canvas.text(
        _MARGIN, 36, clip(str(told.get("string", "encoder")), 850, 17), size=17, extra='font-weight="650"'
    )
    facts = [("hidden size", told.get("hidden_size")), ("sequence length", told.get("seq_length"))]
    line = [f"{name} {value}" for name, value in facts if value is not None]
    if told.get("hash"):
        line.append(f"hash {told['hash']}")
    canvas.text(_MARGIN, 58, " · ".join(line), "dim", 12.5)
    canvas.text(canvas.note_x, 92, "settings", "dim", 11)
    canvas.text(_PARAMETERS_X, 92, "parameters", "dim", 11)
    canvas.text(_FLOPS_X, 92, "FLOPs per token, forward", "dim", 11)


def _draw_row(canvas: _Canvas, row: _Row, y: float, *, last: bool) -> None:
    middle, base = y + _BOX / 2, y + _BOX / 2 + 4.5
    look = f"{fill(row.role)}" if row.role else 'class="nas-plain"'
    ink = 'class="nas-ink"' if row.role in ("", "none") else f'fill="{INK}"'
    centre = (canvas.box_x + canvas.box_end) / 2
    canvas.parts.append(
        f"<g><title>{escape(row.title)}</title>"
        f'<rect x="{px(canvas.box_x)}" y="{px(y)}" width="132" height="{px(_BOX)}" rx="5" {look}/>'
        f'<text x="{px(centre)}" y="{px(base)}" {ink} font-size="13.5" font-weight="600" '
        f'text-anchor="middle">'
        f"{escape(clip(row.label, 126, 13.5))}</text></g>"
    )
    canvas.text(_MARGIN - 2, base, row.place, "dim", 11)
    note_width = _PARAMETERS_X - canvas.note_x - 12
    canvas.text(canvas.note_x, base - 0.5, _fitting(row.notes, note_width, 11.5), "dim", 11.5)
    _size(canvas, _PARAMETERS_X, middle, row.parameters, "parameters", "shared" if row.shared else "")
    _size(canvas, _FLOPS_X, middle, row.flops, "flops_per_token")
    if not last:
        tip = y + _ROW
        canvas.line(f"M{px(centre)} {px(y + _BOX)}V{px(tip - 5)}", extra='stroke-width="1.3"')
        canvas.line(f"M{px(centre - 4)} {px(tip - 6)}h8l-4 6z", "head")


def _size(
    canvas: _Canvas, x: float, middle: float, value: float | None, whole: str, instead: str = ""
) -> None:
    """Write a size, and draw its part of the whole encoder's."""
    if instead or value is None:
        canvas.text(x, middle + 4.5, instead or "–", "dim", 12)
        return
    canvas.text(x, middle + 4.5, quantity(value), size=12.5)
    total = canvas.description.get(whole)
    if isinstance(total, int | float) and total > 0:
        place = f'x="{px(x + 52)}" y="{px(middle - 4)}" height="8" rx="2"'
        part = min(max(value / total, 0.0), 1.0)
        canvas.parts.append(f'<rect {place} width="{px(_BAR)}" class="nas-track"/>')
        canvas.parts.append(f'<rect {place} width="{px(_BAR * part)}" class="nas-bar"/>')


def _slot_y(index: int) -> float:
    return _TOP + (index + 1) * _ROW + _BOX / 2


def _draw_links(canvas: _Canvas) -> None:
    """Join the slots that share weights, on the left."""
    for group, lane in zip(canvas.links, canvas.link_lanes, strict=True):
        x = canvas.box_x - 12 - 14 * lane
        ticks = "".join(f"M{px(x)} {px(_slot_y(i))}H{px(canvas.box_x)}" for i in group)
        canvas.line(f"{ticks}M{px(x)} {px(_slot_y(group[0]))}V{px(_slot_y(group[-1]))}", "link")
        canvas.parts.extend(
            f'<circle cx="{px(canvas.box_x)}" cy="{px(_slot_y(i))}" r="3.2" class="nas-knot"/>' for i in group
        )


def _draw_states(canvas: _Canvas) -> None:
    """Draw the recursive state as a rail on the right: written below the middle, read above it."""
    for group, lane in zip(canvas.states, canvas.state_lanes, strict=True):
        x, edge = canvas.box_end + 14 + 16 * lane, canvas.box_end
        path = "".join(f"M{px(edge)} {px(_slot_y(i) + 7)}H{px(x)}" for i in group)
        for i in group[1:]:
            y = _slot_y(i) - 7
            path += f"M{px(x)} {px(y)}H{px(edge + 5)}"
            canvas.line(f"M{px(edge + 6)} {px(y - 3.5)}v7l-6 -3.5z", "state-head")
        path += f"M{px(x)} {px(_slot_y(group[0]) + 7)}V{px(_slot_y(group[-1]) + 7)}"
        canvas.line(path, "state", 'stroke-width="1.6"')


def _footer(canvas: _Canvas, slots: Sequence[Mapping[str, Any]], y: float) -> None:
    """Write the totals, and the legend of what is in this picture."""
    canvas.line(f"M{px(_MARGIN)} {px(y)}H{px(_WIDTH - _MARGIN)}", extra='stroke-opacity=".5"')
    canvas.text(canvas.box_x, y + 24, "whole encoder", extra='font-weight="600"')
    for x, key in ((_PARAMETERS_X, "parameters"), (_FLOPS_X, "flops_per_token")):
        value = canvas.description.get(key)
        told = quantity(value) if isinstance(value, int | float) else "–"
        canvas.text(x, y + 24, told, extra='font-weight="600"')
    used = {str(slot.get("role", "")) for slot in slots}
    x, y = _MARGIN, y + 58
    for role in [role for role in ROLE_COLOURS if role in used]:
        canvas.parts.append(
            f'<rect x="{px(x)}" y="{px(y - 10)}" width="14" height="12" rx="3" {_swatch(role)}/>'
        )
        canvas.text(x + 20, y, role, "dim", 11.5)
        x += 34 + 6.4 * len(role)
    for there, kind, name in (
        (canvas.links, "link", "same weights"),
        (canvas.states, "state", "recursive state"),
    ):
        if there:
            canvas.line(f"M{px(x)} {px(y - 4)}h16", kind, 'stroke-width="1.6"')
            canvas.text(x + 22, y, name, "dim", 11.5)
            x += 36 + 6.4 * len(name)


def _swatch(role: str) -> str:
    return 'fill="none" stroke="#8a96a3"' if role == "none" else fill(role)
