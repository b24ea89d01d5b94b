"""What runs say about a question: the best rate of each candidate, intervals over seeds, claims."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nas.errors import InputError, not_allowed

Metrics = Mapping[str, float]
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""The 97.5 % quantile of Student's t for 1, 2, ... degrees of freedom."""
_CLAIM = re.compile(r"^(?P<left>.+?) (?P<sign>>=|<=|>) (?P<right>.+)$")


class Interval(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def quantile(freedom: float) -> float:
    """Return the 97.5 % quantile of Student's t, to 1 % for more than ten degrees of freedom."""
    return _T[max(1, math.floor(freedom)) - 1] if freedom < len(_T) + 1 else 1.96 + 2.5 / freedom


def interval(values: Sequence[float]) -> Interval:
    """Return the mean of runs with other seeds, and Student's t interval; one run has none."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Interval(mean, mean, mean)
    room = quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - room, mean + room)


def difference(left: Sequence[float], right: Sequence[float]) -> Interval:
    """Return the difference of two means with Welch's interval; unequal spreads are allowed for."""
    mean = statistics.fmean(left) - statistics.fmean(right)
    parts = [statistics.variance(v) / len(v) if len(v) > 1 else 0.0 for v in (left, right)]
    total = sum(parts)
    if not total:
        return Interval(mean, mean, mean)
    below = sum(p**2 / (len(v) - 1) for p, v in zip(parts, (left, right), strict=True) if len(v) > 1)
    room = quantile(total**2 / below) * math.sqrt(total)
    return Interval(mean, mean - room, mean + room)


def value_of(result: Mapping[str, Any], metric: str) -> float:
    """Return a run's metric; a share of right answers is 0 for a run that diverged."""
    found = result["metrics"].get(metric)
    if result["status"] == "done" and found is not None:
        return float(found)
    return math.inf if metric.endswith("loss") else 0.0


def best_rate(tried: Mapping[float, Sequence[Mapping[str, Any]]], metric: str) -> float:
    """Return the rate whose runs do best in training's own distribution, whatever ``metric``'s split.

    They are compared by the same measure on ``val``; what differs by less than half a percent there
    is told apart by the loss.

    Args:
        tried: rate to results.
        metric: of the question.
    """
    inside = f"val/{metric.rsplit('/', 1)[1]}"

    def goodness(rate: float) -> tuple[float, float]:
        values = [value_of(result, inside) for result in tried[rate]]
        losses = [value_of(result, "val/loss") for result in tried[rate]]
        mean = statistics.fmean(values)
        return -mean if inside.endswith("loss") else round(200 * mean), -statistics.fmean(losses)

    return max(tried, key=goodness)


def check_claims(claims: Sequence[str], names: Sequence[str], key: str) -> None:
    """Raise `InputError` naming every claim that can not be read."""
    mistakes = []
    for claim in claims:
        found = _CLAIM.match(claim)
        if found is None or (found["sign"] != ">" and not _is_number(found["right"])):
            mistakes.append(f"{key}={claim!r} must be 'a > b', 'a >= 0.9' or 'a <= 0.5'")
            continue
        sides = [found["left"]] if found["sign"] != ">" else [found["left"], found["right"]]
        mistakes += [not_allowed(key, side, names) for side in sides if side not in names]
    if mistakes:
        raise InputError(*mistakes)


def judged(claim: str, values: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """Return what became of a claim.

    ``a > b`` holds, or the opposite does, if the difference's interval leaves 0 out; a bound holds
    for the mean. Where the interval holds both, the claim is open.

    Args:
        claim: as `check_claims` allows.
        values: candidate to its value for each seed.
    """
    found = _CLAIM.match(claim)
    assert found is not None
    left, sign, right = values[found["left"]], found["sign"], found["right"]
    if sign == ">":
        gap = difference(left, values[right])
        verdict = "holds" if gap.low > 0 else "the opposite holds" if gap.high < 0 else "open"
        return {"claim": claim, "verdict": verdict, "told": f"difference {_told(gap)}"}
    mean, bound = interval(left), float(right)
    right_side = mean.mean >= bound if sign == ">=" else mean.mean <= bound
    return {"claim": claim, "verdict": "holds" if right_side else "does not hold", "told": _told(mean)}


def _told(found: Interval) -> str:
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
