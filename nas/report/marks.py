"""The marks inside plots, and what they say when the pointer rests on them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from html import escape

from nas.progress import quantity
from nas.report.found import Trial
from nas.report.words import value_text

_SHAPES = {
    "cross": "m-3.2 -3.2l6.4 6.4m0 -6.4l-6.4 6.4",
    "up": "m0 -4l4 7h-8z",
    "diamond": "m0 -7l7 7l-7 7l-7 -7z",
    "square": "m-6 -6h12v12h-12z",
    "star": "m0 -10l2.9 6.6l7.1 .7l-5.4 4.7l1.6 7l-6.2 -3.7l-6.2 3.7l1.6 -7l-5.4 -4.7l7.1 -.7z",
}
_RADII = {"dot": 3.5, "large": 5.0, "ring": 7.0}


def mark(shape: str, x: float, y: float, kind: str, title: str) -> str:
    """Return a mark at a pixel; ``kind`` is its class, ``title`` what it says."""
    told = f"<title>{escape(title)}</title>"
    if shape in _SHAPES:
        return f'<path class="{kind}" d="M{x:.1f} {y:.1f}{_SHAPES[shape]}">{told}</path>'
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{_RADII[shape]:g}">{told}</circle>'


def symbol(shape: str, kind: str) -> str:
    """Return one mark by itself, for a legend."""
    return f'<svg class="symbol" viewBox="2 2 20 20" aria-hidden="true">{mark(shape, 12, 12, kind, "")}</svg>'


def told(trial: Trial, outside: bool = False) -> str:
    """Return what a mark says of its trial."""
    parts = [f"trial {trial.number}"]
    off = " (off the scale)" if outside else ""
    if trial.values:
        parts += [f"{name} {value_text(value)}" for name, value in trial.values.items()]
        parts[-1] += off
    elif trial.value is not None:
        parts.append(value_text(trial.value) + off)
    if trial.parameters is not None and "cost/parameters" not in trial.values:
        parts.append(f"{quantity(trial.parameters)} parameters")
    return " · ".join([*parts, *filter(None, (trial.label, trial.reason))])


def without_outliers(values: Sequence[float], minimize: bool) -> list[float]:
    """Leave out values so bad that they would press all others together; they are drawn at the edge."""
    if len(values) < 4:
        return list(values)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    reach = 3 * (high - low)
    kept = [v for v in values if (v <= high + reach if minimize else v >= low - reach)]
    return kept or list(values)
