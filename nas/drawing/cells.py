"""A row of a task as coloured cells: what is shown, and below it what is asked (SVG)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from nas.strip import FONT, INK, XMLNS, px

PALETTE = (
    "#cfe3f3", "#f6dfb6", "#cdebdf", "#f0d3e4", "#f7d3bf", "#dcdcf2", "#e6efc2", "#d7e4e6",
    "#f3ecd0", "#e2d5ec", "#c9e9ec", "#eedada",
)  # fmt: skip
"""Light fills, told apart by their letters too; dark text reads on all."""
BLANK, ASKED, RIGHT = "#f4f6f8", "#ffffff", "#0b6bb0"
CELL, ANSWER, MARGIN = 26.0, 18.0, 4.0


def cells(
    name: str,
    shown: Sequence[str],
    answers: Mapping[int, str],
    fills: Mapping[str, str] | None = None,
    columns: int = 32,
) -> str:
    """Return cells from left to right, ``columns`` in a line.

    Args:
        name: what a screen reader says.
        shown: the text of every cell; an empty one is blank.
        answers: place to the right answer, written below the place.
        fills: text to colour, instead of one from the palette.
        columns: cells in a line.
    """
    order = {text: number for number, text in enumerate(sorted(set(shown) - {""}))}
    below = ANSWER if answers else 0.0
    lines = -(-len(shown) // columns)
    width = 2 * MARGIN + CELL * min(columns, len(shown))
    height = 2 * MARGIN + lines * (CELL + below)
    parts = []
    for place, text in enumerate(shown):
        x = MARGIN + CELL * (place % columns)
        y = MARGIN + (CELL + below) * (place // columns)
        colour = (fills or {}).get(text) or (PALETTE[order[text] % len(PALETTE)] if text else BLANK)
        parts.append(_cell(x, y, text, ASKED if place in answers else colour, place in answers))
        if place in answers:
            parts.append(_text(x + CELL / 2, y + CELL + 13, answers[place], 12, RIGHT, 'font-weight="600"'))
    return (
        f'<svg {XMLNS} viewBox="0 0 {px(width)} {px(height)}" width="{px(width)}" role="img" '
        f'aria-label="{escape(name)}" font-family="{FONT}" text-anchor="middle">'
        f'<rect width="{px(width)}" height="{px(height)}" rx="6" fill="#ffffff"/>{"".join(parts)}</svg>'
    )


def grid(
    name: str,
    shown: Sequence[str],
    answers: Mapping[int, str],
    columns: int,
    fills: Mapping[str, str] | None = None,
) -> str:
    """Return cells as a square, with the answers in their own cells; see `cells`."""
    width = 2 * MARGIN + CELL * columns
    parts = []
    for place, text in enumerate(shown):
        x, y = MARGIN + CELL * (place % columns), MARGIN + CELL * (place // columns)
        told = answers.get(place)
        look = told if told is not None else text
        colour = (fills or {}).get(look, ASKED if told is not None else PALETTE[0] if text else BLANK)
        written = "" if look in (fills or {}) and len(look) > 1 else look
        parts.append(_cell(x, y, written if told is None else "", colour, told is not None))
        if told is not None and written:
            parts.append(_text(x + CELL / 2, y + CELL / 2 + 5, written, 14, RIGHT, 'font-weight="600"'))
    return (
        f'<svg {XMLNS} viewBox="0 0 {px(width)} {px(width)}" width="{px(width)}" role="img" '
        f'aria-label="{escape(name)}" font-family="{FONT}" text-anchor="middle">'
        f'<rect width="{px(width)}" height="{px(width)}" rx="6" fill="#ffffff"/>{"".join(parts)}</svg>'
    )


def _cell(x: float, y: float, text: str, fill: str, asked: bool) -> str:
    edge = f'stroke="{RIGHT}" stroke-width="1.6"' if asked else 'stroke="#c3ccd5" stroke-width="0.8"'
    box = (
        f'<rect x="{px(x + 1)}" y="{px(y + 1)}" width="{px(CELL - 2)}" height="{px(CELL - 2)}" rx="3" '
        f'fill="{fill}" {edge}/>'
    )
    size = 13 if len(text) <= 2 else 10 if len(text) == 3 else 8.5
    return box + (_text(x + CELL / 2, y + CELL / 2 + 4.5, text, size, INK) if text else "")


def _text(x: float, y: float, text: str, size: float, fill: str, extra: str = "") -> str:
    shown = f'x="{px(x)}" y="{px(y)}" font-size="{px(size)}" fill="{fill}" {extra}'
    return f"<text {shown}>{escape(text)}</text>"
