"""Which proposals may be trained: what is forbidden or costs too much is found before."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nas.errors import InputError
from nas.progress import say
from nas.search.climb import Nearest
from nas.search.constraints import COSTS, LATENCY, Limit
from nas.search.latency import Latency
from nas.search.match import Match
from nas.search.pricing import Pricing
from nas.search.spaces.conditions import Values
from nas.search.spaces.literals import Scalar
from nas.search.spaces.space import Space, lines

ATTEMPTS = 10_000
_SOON = 500
"""After so many without success it is told that more are looked at: that takes seconds, with a match more."""
_PRICED = 1000
"""After so many whose cost was too high or low, as many changes of the nearest ones find more than chance."""
_REMEMBERED = 20_000


@dataclass(frozen=True)
class Verdict:
    """What was found of a proposal.

    Attributes:
        changes: what it sets, the value that a match was solved for included.
        broken: rule to the share by which it is broken; empty: it may be trained.
        reason: what is wrong, in words.
        measures: the costs that were looked at.
    """

    changes: dict[str, Any]
    broken: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        """Whether it may be trained."""
        return not self.broken

    @property
    def overrides(self) -> list[str]:
        """What it sets, as overrides."""
        return lines(self.changes)


class Gate:
    """Decides about proposals, and repairs those that a match can.

    Args:
        space: what varies, and what is forbidden.
        pricing: tells costs; None: there are no limits.
        limits: what a candidate may cost.
        match: the cost that is held, if any.
        latency: measures times; None: nothing asks for them.
        wanted: measures that are looked at without a limit.
    """

    def __init__(
        self,
        space: Space,
        pricing: Pricing | None = None,
        limits: tuple[Limit, ...] = (),
        match: Match | None = None,
        latency: Callable[[], Latency] | None = None,
        wanted: tuple[str, ...] = (),
    ) -> None:
        self.space, self._pricing = space, pricing
        self._limits, self._match, self._latency = limits, match, latency
        self._wanted = {limit.measure for limit in limits} | set(wanted)
        self._timer: Latency | None = None
        self._known: dict[frozenset[tuple[str, str]], Verdict] = {}
        self._priced_so_far = 0

    @property
    def open(self) -> bool:
        """Whether everything may be trained, and nothing is to be known of it before."""
        return not (self.space.forbid or self._wanted or self._match)

    def judge(self, values: Values) -> Verdict:
        """Return what is to be said of a configuration's parameters."""
        if self.open:
            return Verdict(self.space.changes(values))
        key = frozenset((name, repr(value)) for name, value in values.items())
        if key not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = self._judge(values)
        return self._known[key]

    def allows(self, values: Values) -> bool:
        """Return whether a configuration may be trained."""
        return self.judge(values).fits

    def sample(self, stream: random.Random) -> dict[str, Scalar] | None:
        """Return random parameters that may be trained.

        Where hardly any may, they are changed from some that come near. None: none were found.
        """
        nearest = Nearest(self.space, lambda values: sum(self.judge(values).broken.values()))
        priced = self._priced_so_far
        for _ in range(ATTEMPTS):
            values = self.space.draw(stream)
            if nearest.fits(values):
                return values
            if self._priced_so_far - priced >= _PRICED:
                return nearest.climbed(stream, _PRICED)
        return None

    def mistakes(self) -> list[str]:
        """Return what contradicts: a sentence if nothing may be trained, or a condition cannot be judged."""
        if self.open:
            return []
        stream = random.Random(0)
        try:
            if any(self.allows(self.space.draw(stream)) for _ in range(_SOON)):
                return []
            say(f"of {_SOON:,} samples no configuration may be trained: looking at more ...")
            if self.sample(stream) is not None:
                return []
        except InputError as error:
            return list(error.mistakes)
        return [f"no configuration may be trained: of {len(self._known):,} looked at {self._tightest()}"]

    def _tightest(self) -> str:
        """Say which rule most samples break, and how near the nearest comes."""
        seen = list(self._known.values())
        counts = Counter(rule for verdict in seen for rule in verdict.broken)
        rule = max(counts, key=lambda name: counts[name])
        breaking = [v for v in seen if rule in v.broken]
        nearest = min(breaking, key=lambda v: v.broken[rule])
        share = counts[rule] / len(seen)
        if share == 1:
            return f"none meets {rule}; the nearest: {nearest.reason}"
        return f"{share:.0%} break {rule} and the others another rule; the nearest: {nearest.reason}"

    def _judge(self, values: Values) -> Verdict:
        changes = self.space.changes(values)
        forbidden = self.space.forbidden(values)
        if forbidden is not None:
            return Verdict(changes, {forbidden.place: 1.0}, f"{forbidden.place}: {forbidden} is forbidden")
        if self._pricing is None or not (self._wanted or self._match):
            return Verdict(changes)
        self._priced_so_far += 1
        try:
            return self._priced(self._pricing, changes)
        except InputError as error:
            return Verdict(changes, {"encoder": 1.0}, f"cannot be built: {'; '.join(error.mistakes)}")

    def _priced(self, pricing: Pricing, changes: dict[str, Any]) -> Verdict:
        if self._match:
            value, reached = self._match.solve(pricing, changes)
            changes = {**changes, self._match.by: value}
            miss = self._match.miss(reached)
            if miss > 0:
                near = f"{self._match.by}={value} comes nearest, with {reached:.4g}"
                reason = f"{self._match.measure} is not {self._match.target:.4g}: {near}"
                return Verdict(changes, {f"match.{self._match.measure}": miss}, reason)
        measures = self._measures(pricing, changes)
        broken = {f"constraints.{m.measure}": m.excess(measures[m.measure]) for m in self._limits}
        broken = {rule: excess for rule, excess in broken.items() if excess > 0}
        worst = [m.broken_by(measures[m.measure]) for m in self._limits if m.excess(measures[m.measure]) > 0]
        return Verdict(changes, broken, "; ".join(worst), measures)

    def _measures(self, pricing: Pricing, changes: dict[str, Any]) -> dict[str, float]:
        found = pricing.costs(changes) if self._wanted & {*COSTS} else {}
        if LATENCY in self._wanted and self._latency is not None:
            self._timer = self._timer or self._latency()
            found[LATENCY] = self._timer.milliseconds(pricing.candidate(changes))
        return found
