"""Limits on what a candidate may cost, read from a configuration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from nas.errors import InputError, nearest

COSTS = ("cost/parameters", "cost/flops_per_token", "cost/training_flops_per_token", "cost/activation_bytes")
LATENCY = "latency_ms"
MEASURES = (*COSTS, LATENCY)


@dataclass(frozen=True)
class Limit:
    """What a measure may be.

    Attributes:
        measure: one of `MEASURES`.
        low: the least that is allowed; 0: anything.
        high: the most that is allowed; infinity: anything.
    """

    measure: str
    low: float = 0.0
    high: float = math.inf

    def excess(self, value: float) -> float:
        """Return by which share a value breaks the limit; 0 or less: it does not."""
        above = value / self.high - 1 if self.high < math.inf else -math.inf
        below = self.low / value - 1 if self.low > 0 and value > 0 else -math.inf
        worst = max(above, below)
        return 0.0 if worst == -math.inf else worst

    def broken_by(self, value: float) -> str:
        """Say what is wrong with a value that breaks the limit."""
        if value > self.high:
            return f"{self.measure}={value:.4g} is above max={self.high:.4g}"
        return f"{self.measure}={value:.4g} is below min={self.low:.4g}"


def read_limits(described: Any) -> tuple[Limit, ...]:
    """Read ``constraints``: measure to ``{max: ..., min: ...}``.

    Raises:
        InputError: one sentence for each mistake.
    """
    if described is None:
        return ()
    if not isinstance(described, dict):
        example = "{cost/parameters: {max: 1e6}}"
        raise InputError(f"constraints={described!r} must hold measures, such as {example}")
    mistakes: list[str] = []
    limits: list[Limit] = []
    for measure, form in described.items():
        try:
            limits.append(_read_limit(str(measure), form))
        except InputError as error:
            mistakes.extend(error.mistakes)
    if mistakes:
        raise InputError(*mistakes)
    return tuple(limits)


def _read_limit(measure: str, form: Any) -> Limit:
    place = f"constraints.{measure}"
    if measure not in MEASURES:
        raise InputError(f"{place} is not one of {list(MEASURES)}{nearest(measure, MEASURES)}")
    is_form = isinstance(form, dict) and form and form.keys() <= {"max", "min"}
    if not is_form or not all(map(is_positive, form.values())):
        raise InputError(f"{place}={form!r} must be {{max: number, min: number}}, or one of them, above 0")
    limit = Limit(measure, float(form.get("min", 0.0)), float(form.get("max", math.inf)))
    if limit.low > limit.high:
        raise InputError(f"{place}: min={limit.low:g} is above max={limit.high:g}")
    return limit


def is_positive(value: Any) -> bool:
    """Return whether a value is a finite number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
