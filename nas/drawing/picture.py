"""The full drawing (SVG) of one encoder from its plain description."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nas.drawing.canvas import FLOPS_X, MARGIN, PARAMETERS_X, STYLE, TOP, WIDTH, Canvas
from nas.drawing.rows import Row, fitting, place_rows, rows_of
from nas.progress import quantity
from nas.strip import FONT, INK, ROLE_COLOURS, XMLNS, clip, fill, px, shared_groups

_BAR = 54.0


def drawing(description: Mapping[str, Any]) -> str:
    """Return the whole encoder as a self-contained SVG: every slot with its settings and sizes.

    Blocks made of blocks are boxes around them, with an arrow back where they run again; a line on
    the left joins slots that share weights, one on the right those that hand on a state. Colours
    follow the reader's light or dark theme.

    Args:
        description: what `nas.costs.describe.describe` returns, or the content of ``architecture.json``.
    """
    slots = list(description.get("slots") or [])
    rows = rows_of(description)
    end = place_rows(rows, TOP)
    canvas = Canvas(rows, shared_groups(slots), _state_groups(slots))
    _header(canvas, description)
    _draw_all(canvas, rows, description)
    _draw_links(canvas)
    _draw_states(canvas)
    _totals(canvas, description, end + 14)
    _legend(canvas, end + 72)
    name = escape(f"Encoder {description.get('string', '')}")
    w, h = px(WIDTH), px(end + 96)
    return (
        f'<svg {XMLNS} viewBox="0 0 {w} {h}" width="{w}" height="{h}" '
        f'role="img" aria-label="{name}" font-family="{FONT}"><title>{name}</title><style>{STYLE}</style>'
        f'<rect x=".5" y=".5" width="{px(WIDTH - 1)}" height="{px(end + 95)}" rx="10" class="nas-paper"/>'
        f"{''.join(canvas.parts)}</svg>\n"
    )


def _state_groups(slots: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Return the positions of the slots that share a state, one list for each kind."""
    kinds: dict[str, list[int]] = {}
    for index, slot in enumerate(slots):
        if slot.get("recursive"):
            for kind in slot.get("state_kinds") or [str(slot.get("state_kind", "state"))]:
                kinds.setdefault(str(kind), []).append(index)
    return [group for group in kinds.values() if len(group) > 1]


def _header(canvas: Canvas, told: Mapping[str, Any]) -> None:
    string = clip(str(told.get("string", "encoder")), 0.82 * (WIDTH - 2 * MARGIN), 17)  # bold is wider
    canvas.text(MARGIN, 36, string, size=17, extra='font-weight="650"')
    facts = [("hidden size", told.get("hidden_size")), ("sequence length", told.get("seq_length"))]
    line = [f"{name} {value}" for name, value in facts if value is not None]
    kept, batch = told.get("activation_bytes"), told.get("batch_size")
    if isinstance(kept, int) and isinstance(batch, int):
        line.append(f"activations {quantity(kept / batch)}B a sequence in training")
    if told.get("hash"):
        line.append(f"hash {told['hash']}")
    canvas.text(MARGIN, 58, " · ".join(line), "dim", 12.5)
    canvas.text(canvas.note_x, 92, "settings", "dim", 11)
    canvas.text(PARAMETERS_X, 92, "parameters", "dim", 11)
    canvas.text(FLOPS_X, 92, "FLOPs per token, forward", "dim", 11)


def _draw_all(canvas: Canvas, rows: Sequence[Row], whole: Mapping[str, Any], *, beside: bool = False) -> None:
    """Draw lines, joined by arrows unless they stand side by side."""
    for row in rows:
        _draw(canvas, row, whole)
    for row, following in itertools.pairwise([] if beside else rows):
        x, tip = canvas.centre, following.y
        canvas.line(f"M{px(x)} {px(row.end)}V{px(tip - 5)}", extra='stroke-width="1.3"')
        canvas.line(f"M{px(x - 4)} {px(tip - 6)}h8l-4 6z", "head")


def _draw(canvas: Canvas, row: Row, whole: Mapping[str, Any]) -> None:
    _draw_box(canvas, row)
    base = row.middle + 4.5
    canvas.text(MARGIN - 2, base, row.place, "dim", 11)
    notes = ["side by side", *row.notes] if row.parallel else row.notes
    canvas.text(
        canvas.note_x, base - 0.5, fitting(notes, PARAMETERS_X - canvas.note_x - 12, 11.5), "dim", 11.5
    )
    told = {} if row.depth else whole  # what stands inside is counted where it stands in
    _size(canvas, PARAMETERS_X, row, row.parameters, told.get("parameters"), "shared" if row.shared else "")
    _size(canvas, FLOPS_X, row, row.flops, told.get("flops_per_token"))
    _draw_all(canvas, row.inner, whole, beside=row.parallel)
    if row.parallel:
        _draw_branches(canvas, row)
    elif row.loops > 1:
        _draw_loop(canvas, row)


def _draw_box(canvas: Canvas, row: Row) -> None:
    left, right = canvas.edges(row)
    look = fill(row.role) if row.role else 'class="nas-plain"'
    ink = 'class="nas-ink"' if row.role in ("", "none") or row.inner else f'fill="{INK}"'
    if row.inner:  # a tint that reads on light and dark paper
        colour = ROLE_COLOURS.get(row.role, ROLE_COLOURS["foreign"])
        look = f'fill="{colour}" fill-opacity=".18" stroke="{colour}"'
    canvas.parts.append(
        f"<g><title>{escape(row.title)}</title>"
        f'<rect x="{px(left)}" y="{px(row.y)}" width="{px(right - left)}" height="{px(row.height)}" '
        f'rx="5" {look}/>'
        f'<text x="{px(canvas.centre)}" y="{px(row.middle + 4.5)}" {ink} font-size="13.5" font-weight="600" '
        f'text-anchor="middle">{escape(clip(row.label, right - left - 6, 13.5))}</text></g>'
    )


def _draw_branches(canvas: Canvas, row: Row) -> None:
    """Split the data before blocks that stand side by side, and join it after them."""
    outer, inner = canvas.edges(row), canvas.edges(row.inner[0])
    for start, end in zip(outer, inner, strict=True):
        x = (start + end) / 2
        ticks = "".join(f"M{px(x)} {px(branch.middle)}H{px(end)}" for branch in row.inner)
        canvas.line(f"{ticks}M{px(x)} {px(row.inner[0].middle)}V{px(row.inner[-1].middle)}")


def _draw_loop(canvas: Canvas, row: Row) -> None:
    """Lead from the end of a box of boxes back to its start, and write how often it runs."""
    x, edge = canvas.loop_x(row), canvas.edges(row)[1]
    start, end = row.inner[-1].end - 7, row.inner[0].y + 7
    canvas.line(f"M{px(edge)} {px(start)}H{px(x)}V{px(end)}H{px(edge + 5)}", "loop", 'stroke-width="1.6"')
    canvas.line(f"M{px(edge + 6)} {px(end - 3.5)}v7l-6 -3.5z", "loop-head")
    canvas.text(x + 3, (start + end) / 2 + 4, f"×{row.loops}", "loop-text", 11)


def _size(canvas: Canvas, x: float, row: Row, value: float | None, whole: Any, instead: str = "") -> None:
    """Write a size, and draw and write its part of the whole encoder's."""
    base = row.middle + 4.5
    if instead or value is None:
        canvas.text(x, base, instead or "–", "dim", 12)
        return
    canvas.text(x, base, quantity(value), "dim" if row.depth else "ink", 12.5)
    if isinstance(whole, int | float) and whole > 0:
        part = min(max(value / whole, 0.0), 1.0)
        place = f'x="{px(x + 50)}" y="{px(row.middle - 4)}" height="8" rx="2"'
        canvas.parts.append(f'<rect {place} width="{px(_BAR)}" class="nas-track"/>')
        canvas.parts.append(f'<rect {place} width="{px(_BAR * part)}" class="nas-bar"/>')
        canvas.text(x + 54 + _BAR, base, f"{part:.0%}", "dim", 11)


def _draw_links(canvas: Canvas) -> None:
    """Join the slots that share weights, on the left."""
    for group, lane in zip(canvas.links, canvas.link_lanes, strict=True):
        x, places = canvas.link_x(lane), [_slot_y(canvas, i) for i in group]
        ticks = "".join(f"M{px(x)} {px(y)}H{px(canvas.box_x)}" for y in places)
        canvas.line(f"{ticks}M{px(x)} {px(places[0])}V{px(places[-1])}", "link")
        canvas.parts.extend(
            f'<circle cx="{px(canvas.box_x)}" cy="{px(y)}" r="3.2" class="nas-knot"/>' for y in places
        )


def _draw_states(canvas: Canvas) -> None:
    """Draw the recursive state as a rail on the right: written below the middle, read above it."""
    for group, lane in zip(canvas.states, canvas.state_lanes, strict=True):
        x, edge = canvas.state_x(lane), canvas.box_end
        places = [_slot_y(canvas, i) for i in group]
        path = "".join(f"M{px(edge)} {px(y + 7)}H{px(x)}" for y in places)
        for y in places[1:]:
            path += f"M{px(x)} {px(y - 7)}H{px(edge + 5)}"
            canvas.line(f"M{px(edge + 6)} {px(y - 10.5)}v7l-6 -3.5z", "state-head")
        path += f"M{px(x)} {px(places[0] + 7)}V{px(places[-1] + 7)}"
        canvas.line(path, "state", 'stroke-width="1.6"')


def _slot_y(canvas: Canvas, index: int) -> float:
    return canvas.rows[index + 1].middle  # the embedding stands first


def _totals(canvas: Canvas, told: Mapping[str, Any], y: float) -> None:
    canvas.line(f"M{px(MARGIN)} {px(y)}H{px(WIDTH - MARGIN)}", extra='stroke-opacity=".5"')
    canvas.text(canvas.box_x, y + 24, "whole encoder", extra='font-weight="600"')
    for x, key in ((PARAMETERS_X, "parameters"), (FLOPS_X, "flops_per_token")):
        value = told.get(key)
        text = quantity(value) if isinstance(value, int | float) else "–"
        canvas.text(x, y + 24, text, extra='font-weight="600"')


def _legend(canvas: Canvas, y: float) -> None:
    """Explain the colours and lines that are in this picture."""
    every = [inner for row in canvas.rows for inner in row.all()]
    x = MARGIN
    for role in [role for role in ROLE_COLOURS if any(row.role == role for row in every)]:
        look = 'fill="none" stroke="#8a96a3"' if role == "none" else fill(role)
        canvas.parts.append(f'<rect x="{px(x)}" y="{px(y - 10)}" width="14" height="12" rx="3" {look}/>')
        canvas.text(x + 20, y, role, "dim", 11.5)
        x += 34 + 6.4 * len(role)
    for there, kind, name in (
        (canvas.links, "link", "same weights"),
        (canvas.states, "state", "recursive state"),
        (canvas.loop_lanes, "loop", "runs again"),
    ):
        if there:
            canvas.line(f"M{px(x)} {px(y - 4)}h16", kind, 'stroke-width="1.6"')
            canvas.text(x + 22, y, name, "dim", 11.5)
            x += 36 + 6.4 * len(name)
