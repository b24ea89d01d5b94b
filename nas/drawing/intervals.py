"""Means with their intervals as one SVG that needs no other file: a line for each candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from nas.strip import px

STYLE = """
.nas-i-ink{fill:#18222c}.nas-i-dim{fill:#586673}.nas-i-grid{stroke:#dfe5ea}.nas-i-chance{stroke:#b3361b}
.nas-i-bar{stroke:#0b6bb0}.nas-i-dot{fill:#0b6bb0}.nas-i-seed{fill:none;stroke:#6f8193}
@media screen and (prefers-color-scheme:dark){
.nas-i-ink{fill:#e8edf2}.nas-i-dim{fill:#9dabb8}.nas-i-grid{stroke:#2d3842}.nas-i-chance{stroke:#f2937b}
.nas-i-bar{stroke:#6db8f2}.nas-i-dot{fill:#6db8f2}.nas-i-seed{stroke:#8fa1b2}}
"""
WIDTH, LABELS, RIGHT, TOP, LINE, GAP = 720.0, 250.0, 70.0, 34.0, 22.0, 12.0
LETTERS = 33  # of a label: as many as have room


@dataclass(frozen=True)
class Line:
    """One candidate: its mean with the interval, and what each seed reached."""

    label: str
    mean: float
    low: float
    high: float
    values: Sequence[float] = ()


@dataclass(frozen=True)
class Group:
    """Lines below a heading; ``chance`` is marked where it is known."""

    heading: str
    lines: Sequence[Line]
    chance: float | None = None


def intervals(name: str, groups: Sequence[Group]) -> str:
    """Return dots with intervals on a scale from 0 to 1, or to the largest value.

    Args:
        name: what a screen reader says.
        groups: drawn below each other, all on one scale.
    """
    most = max([1.0, *(value for g in groups for line in g.lines for value in (line.mean, *line.values))])
    parts: list[str] = []
    y = TOP
    for group in groups:
        y = _group(parts, group, y, most)
    _axis(parts, y, most)
    height = y + 26
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {px(WIDTH)} {px(height)}" '
        f'width="{px(WIDTH)}" role="img" aria-label="{escape(name)}" '
        f'font-family="system-ui, Segoe UI, Roboto, DejaVu Sans, sans-serif">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>"
    )


def _group(parts: list[str], group: Group, y: float, most: float) -> float:
    """Draw a group from ``y`` downwards; return where it ends."""
    parts.append(_text(8, y - 12, group.heading, "ink", 13, 'font-weight="600"'))
    end = y + LINE * len(group.lines)
    if group.chance is not None:
        at = px(_x(group.chance, most))
        parts.append(
            f'<path class="nas-i-chance" stroke-dasharray="4 3" d="M{at} {px(y - 2)}V{px(end - 4)}">'
            f"<title>chance: {group.chance:.3f}</title></path>"
        )
    for number, line in enumerate(group.lines):
        _line(parts, line, y + LINE * (number + 0.5) - 2, most)
    return end + LINE + GAP


def _line(parts: list[str], line: Line, y: float, most: float) -> None:
    label = line.label if len(line.label) <= LETTERS else f"{line.label[: LETTERS - 1]}…"
    parts.append(_text(18, y + 4, label, "ink", 12))
    parts.append(f'<path class="nas-i-grid" d="M{px(LABELS)} {px(y)}H{px(WIDTH - RIGHT)}"/>')
    parts += [
        f'<circle class="nas-i-seed" cx="{px(_x(value, most))}" cy="{px(y)}" r="3"/>' for value in line.values
    ]
    low, high = (px(_x(min(max(value, 0.0), most), most)) for value in (line.low, line.high))
    parts.append(f'<path class="nas-i-bar" stroke-width="2.5" d="M{low} {px(y)}H{high}"/>')
    told = f"{line.label}: {line.mean:.3f}, 95 % interval {line.low:.3f} to {line.high:.3f}"
    parts.append(
        f'<circle class="nas-i-dot" cx="{px(_x(line.mean, most))}" cy="{px(y)}" r="4.5">'
        f"<title>{escape(told)}</title></circle>"
    )
    parts.append(_text(WIDTH - 8, y + 4, f"{line.mean:.3f}", "ink", 12, 'text-anchor="end"'))


def _axis(parts: list[str], y: float, most: float) -> None:
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = _x(share * most, most)
        parts.append(_text(x, y - 8, f"{share * most:g}", "dim", 11, 'text-anchor="middle"'))


def _x(value: float, most: float) -> float:
    return LABELS + 8 + (WIDTH - RIGHT - LABELS - 16) * value / most


def _text(x: float, y: float, text: str, kind: str, size: float, extra: str = "") -> str:
    place = f'x="{px(x)}" y="{px(y)}" font-size="{px(size)}"'
    return f'<text {place} class="nas-i-{kind}" {extra}>{escape(text)}</text>'
