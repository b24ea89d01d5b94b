"""A cost held fixed while the list changes: solved for a width."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nas.errors import InputError, nearest
from nas.search.constraints import COSTS, is_positive
from nas.search.pricing import Pricing
from nas.search.spaces.base import Base
from nas.search.spaces.space import Space

_OPTIONS = ("tolerance", "by", "step")
_WIDEST = 1 << 16
_DRAWS = 50
"""So many configurations are looked at before a key is said to change no cost."""


@dataclass(frozen=True)
class Match:
    """Which cost is held, at what, and by which key.

    Attributes:
        measure: the cost.
        target: its value.
        tolerance: the share by which a candidate may miss it.
        by: the key that is solved for, a whole number.
        step: what its values are multiples of; None: of every number of heads in the encoder.
    """

    measure: str
    target: float
    tolerance: float
    by: str
    step: int | None

    def solve(self, pricing: Pricing, changes: Mapping[str, Any]) -> tuple[int, float]:
        """Return the value of ``by`` whose cost is nearest to the target, and that cost.

        Raises:
            InputError: no value can be built.
        """
        step = self.step or _heads(pricing.candidate(changes).node)

        def cost_at(multiple: int) -> float | None:
            try:
                return pricing.costs({**changes, self.by: multiple * step})[self.measure]
            except InputError as error:
                last.append(error)
                return None

        last: list[InputError] = []
        found = _nearest(cost_at, self.target, _WIDEST // step)
        if found is None:
            raise last[-1] if last else InputError(f"match.by={self.by}: no value can be built")
        return found[0] * step, found[1]

    def miss(self, value: float) -> float:
        """Return by which share more than tolerated a cost misses the target; 0 or less: it does not."""
        return abs(value / self.target - 1) - self.tolerance

    def acts(self, pricing: Pricing, changes: Mapping[str, Any]) -> bool:
        """Return whether the cost differs between some values of ``by``, or none of them can be built."""
        found = set()
        for value in (2, 8, 64, 512):  # as widths, good for most numbers of heads
            with contextlib.suppress(InputError):
                found.add(pricing.costs({**changes, self.by: value})[self.measure])
        return len(found) != 1


def read_match(described: Any) -> Match | None:
    """Read ``match``: ``{cost/parameters: 1.0e6, tolerance: 5%, by: encoder.hidden_size}``.

    Raises:
        InputError: one sentence for each mistake.
    """
    if described is None:
        return None
    if not isinstance(described, dict):
        raise InputError(f"match={described!r} must be such as {{cost/parameters: 1.0e6, tolerance: 5%}}")
    measures = [key for key in described if key not in _OPTIONS]
    mistakes = [
        f"match.{key} is not one of {list(COSTS)}{nearest(str(key), (*COSTS, *_OPTIONS))}"
        for key in measures
        if key not in COSTS
    ]
    if not mistakes and len(measures) != 1:
        mistakes.append(f"match={described!r} must hold one of {list(COSTS)} with the value it is to have")
    mistakes += [
        f"match.{key}={described[key]!r} must be a number above 0"
        for key in measures
        if key in COSTS and not is_positive(described[key])
    ]
    tolerance = _share(described.get("tolerance", 0.05))
    if tolerance is None:
        given = described["tolerance"]
        mistakes.append(f"match.tolerance={given!r} must be a share above 0, such as 5% or 0.05")
    by, step = described.get("by", "encoder.hidden_size"), described.get("step")
    if not isinstance(by, str):
        mistakes.append(f"match.by={by!r} must be a key, such as encoder.hidden_size")
    if step is not None and not (type(step) is int and step > 0):
        mistakes.append(f"match.step={step!r} must be a whole number above 0, or null")
    if mistakes:
        raise InputError(*mistakes)
    assert tolerance is not None
    return Match(measures[0], float(described[measures[0]]), tolerance, by, step)


def match_mistakes(match: Match | None, space: Space, base: Base) -> list[str]:
    """Return why no value of ``by`` could bring the cost to its target, in one sentence."""
    if match is None:
        return []
    told = f"match.by={match.by!r}"
    if match.by not in base.keys:
        return [f"{told} is not a key{nearest(match.by, base.keys)}"]
    if match.by in {entry.name for entry in space.entries}:
        return [f"{told} is in the space too: it is solved for, so take it out of one of them"]
    value = base.lookup({})(match.by)
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        return [f"{told} is {value!r}: it must be a key with a number, such as encoder.hidden_size"]
    pricing, stream = Pricing(base), random.Random(0)
    if not any(match.acts(pricing, space.changes(space.draw(stream))) for _ in range(_DRAWS)):
        return [f"{told} does not change {match.measure}: name a key that does, such as encoder.hidden_size"]
    return []


def _share(given: Any) -> float | None:
    if isinstance(given, str) and given.endswith("%"):
        try:
            given = float(given[:-1]) / 100
        except ValueError:
            return None
    return float(given) if is_positive(given) and given < 1 else None


def _heads(encoder: Mapping[str, Any]) -> int:
    """Return what a width must be a multiple of: of every number of heads in the encoder, and even."""
    found = math.lcm(2, *_numbers_of_heads(encoder))
    return found if found <= 512 else 2


def _numbers_of_heads(node: Any) -> Iterator[int]:
    if isinstance(node, Mapping):
        if type(node.get("num_heads")) is int and node["num_heads"] > 0:
            yield node["num_heads"]
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        yield from _numbers_of_heads(child)


def _nearest(cost_at: Callable[[int], float | None], target: float, most: int) -> tuple[int, float] | None:
    """Return the multiple from 1 to ``most`` whose cost is nearest to the target, costs growing with it.

    Multiples that cannot be built are passed by.
    """
    known: dict[int, float] = {}

    def built(multiple: int, up: bool) -> int | None:
        """Return the next multiple that can be built."""
        for n in range(multiple, multiple + 5 if up else max(multiple - 5, 0), 1 if up else -1):
            value = cost_at(n) if n not in known else known[n]
            if value is not None:
                known[n] = value
                return n
        return None

    low = built(1, up=True)
    if low is None:
        return None
    high = low
    while known[high] < target and high < most:
        low, after = high, built(min(high * 2, most), up=True)
        if after is None or after <= high:
            break
        high = after
    while high - low > 1 and known[high] >= target:
        between = built((low + high) // 2, up=False)
        if between is None or between <= low:
            between = built((low + high) // 2 + 1, up=True)
        if between is None or not low < between < high:
            break
        low, high = (between, high) if known[between] < target else (low, between)
    best = min(known, key=lambda n: (abs(known[n] - target), n))
    return best, known[best]
