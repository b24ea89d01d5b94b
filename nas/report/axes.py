"""Scales and the frame of a plot: round ticks, grid lines and titles, as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from nas.progress import quantity

WIDTH, HEIGHT = 560.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 18.0, 16.0, 44.0


@dataclass(frozen=True)
class Scale:
    """Maps values from ``low``..``high`` to pixels from ``start``..``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; values outside go to the edge."""
        value = min(max(value, self.low), self.high)
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self, count: int = 6) -> list[float]:
        """Return round values inside the scale."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [m * 10.0**d for d in decades for m in (1, 2, 5) if self.low <= m * 10.0**d <= self.high]
            if len(found) >= 2:
                return found
        step = _round_step((self.high - self.low) / count)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def scale(values: Sequence[float], start: float, end: float, *, log: bool = False) -> Scale:
    """Return a scale that holds all values with a little room at both ends."""
    low, high = min(values), max(values)
    if log and low > 0:
        room = (high / low) ** 0.05 if high > low else 1.1
        return Scale(low / room, high * room, start, end, log=True)
    room = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return Scale(low - room, high + room, start, end)


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)


def short(value: float) -> str:
    """Write a tick's value."""
    return quantity(value) if abs(value) >= 1000 else f"{value:.4g}"


@dataclass(frozen=True)
class Plot:
    """What a plot is made from: its scales, the words around it, and the marks inside."""

    name: str
    about: str
    x: Scale
    y: Scale
    x_title: str
    y_title: str
    height: float = HEIGHT

    def svg(self, marks: Sequence[str], *, x_text: Callable[[float], str] = short) -> str:
        """Return the framed plot; ``about`` is what a screen reader says of it."""
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        parts = []
        for value in self.y.ticks():
            y = f"{self.y(value):.1f}"
            parts.append(f'<path class="grid" d="M{left:.1f} {y}H{right:.1f}"/>')
            parts.append(
                f'<text class="tick" x="{left - 8:.1f}" y="{y}" dy="4" text-anchor="end">'
                f"{short(value)}</text>"
            )
        for value in self.x.ticks():
            x = f"{self.x(value):.1f}"
            parts.append(f'<path class="grid faint" d="M{x} {bottom:.1f}V{top:.1f}"/>')
            parts.append(
                f'<text class="tick" x="{x}" y="{bottom + 17:.1f}" text-anchor="middle">'
                f"{x_text(value)}</text>"
            )
        parts.append(f'<path class="axis" d="M{left:.1f} {bottom:.1f}H{right:.1f}"/>')
        middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
        parts.append(
            f'<text class="title" x="{middle_x:.1f}" y="{bottom + 36:.1f}" text-anchor="middle">'
            f"{escape(self.x_title)}</text>"
        )
        parts.append(
            f'<text class="title" transform="translate(14 {middle_y:.1f}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y_title)}</text>"
        )
        name = escape(f"{self.name}: {self.about}")
        return (
            f'<svg class="plot" viewBox="0 0 {WIDTH:.0f} {self.height:.0f}" role="img" aria-label="{name}">'
            f"{''.join(parts)}{''.join(marks)}</svg>"
        )
