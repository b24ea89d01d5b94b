"""From configurations that may not be trained to one that may: one parameter after another is changed."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping
from typing import Any

from nas.search.spaces.conditions import Values
from nas.search.spaces.literals import Scalar
from nas.search.spaces.space import Space

KEPT = 5


class Nearest:
    """The configurations that come nearest to what is allowed.

    Args:
        space: what varies.
        excess: by how much in all a configuration breaks rules; 0: it may be trained.
    """

    def __init__(self, space: Space, excess: Callable[[Values], float]) -> None:
        self._space, self._excess = space, excess
        self._kept: list[tuple[float, int, Mapping[str, Any]]] = []  # the farthest first
        self._seen = 0

    def fits(self, values: Values) -> bool:
        """Return whether a configuration may be trained; if not, it may be kept."""
        excess = self._excess(values)
        self._seen += 1
        if excess > 0:
            heapq.heappush(self._kept, (-excess, self._seen, values))
            if len(self._kept) > KEPT:
                heapq.heappop(self._kept)
        return excess <= 0

    def climbed(self, stream: random.Random, steps: int) -> dict[str, Scalar] | None:
        """Return one that may be trained, found by so many changes of those that are kept, or None."""
        here = [(-negative, values) for negative, _, values in self._kept]
        for step in range(steps if here else 0):
            place = step % len(here)
            excess, values = here[place]
            changed = self._changed(values, stream)
            reached = self._excess(changed)
            if reached <= 0:
                return changed
            if reached <= excess:
                here[place] = reached, changed
        return None

    def _changed(self, values: Values, stream: random.Random) -> dict[str, Scalar]:
        """Return a configuration with another value for one parameter, and for those that it brings."""
        name = stream.choice(list(values))
        return self._space.walk(
            lambda p: p.draw(stream) if p.name == name or p.name not in values else values[p.name]
        )
