"""When a parameter is asked for: always, while its slot is in use, with its block, or as the user says."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from nas.search.spaces.expressions import Expression, Lookup
from nas.search.spaces.literals import Scalar, plain

if TYPE_CHECKING:
    from nas.search.samplers.encoding import Array, Encoding
    from nas.search.spaces.parameters import Parameter
    from nas.search.spaces.slots import Slots

Values = Mapping[str, Scalar]
"""Parameter name to value; those that are not asked for are absent."""
Bools = npt.NDArray[np.bool_]


class Condition(Protocol):
    """Says of a configuration, or of many as rows, whether a parameter is asked for."""

    def holds(self, values: Values) -> bool:
        """Decide by the values of earlier parameters."""

    def rows(self, encoding: Encoding, rows: Array) -> Bools:
        """Decide for rows [n, N] of an encoding: [n]."""


@dataclass(frozen=True)
class Below:
    """A slot is in use while the list is longer than its index."""

    length: Parameter
    index: int

    def holds(self, values: Values) -> bool:
        """See `Condition`."""
        return int(values[self.length.name]) > self.index  # type: ignore[arg-type]

    def rows(self, encoding: Encoding, rows: Array) -> Bools:
        """See `Condition`."""
        return encoding.numbers(self.length.name, self.length.distribution(), rows) > self.index


@dataclass(frozen=True)
class Holds:
    """A block's setting is asked for while a list holds the block."""

    slots: Slots
    block: str

    def holds(self, values: Values) -> bool:
        """See `Condition`."""
        return any(self.block in self.slots.names_in(v) for v in self.slots.drawn(values))

    def rows(self, encoding: Encoding, rows: Array) -> Bools:
        """See `Condition`."""
        found = np.zeros(len(rows), bool)
        for item, has in zip(self.slots.items, self._has, strict=True):
            if item.name in encoding.column:
                chosen = rows[:, encoding.column[item.name]]
                found |= has[np.nan_to_num(chosen).astype(int)] & ~np.isnan(chosen)
            elif item.condition is None:
                found |= has[0]
            else:  # a slot with one choice only, in use or not
                found |= has[0] & item.condition.rows(encoding, rows)
        return found

    @functools.cached_property
    def _has(self) -> list[Bools]:
        """Whether each choice of each slot names the block."""
        named = self.slots.names_in
        return [np.array([self.block in named(c) for c in item.choices]) for item in self.slots.items]


@dataclass(frozen=True)
class Repeats:
    """What shares weights is asked for while a list names a block more than once."""

    slots: Slots

    def holds(self, values: Values) -> bool:
        """See `Condition`."""
        return self.slots.repeats(values)

    def rows(self, encoding: Encoding, rows: Array) -> Bools:
        """See `Condition`."""
        if self.slots.total is not None or not isinstance(self.slots.repeat, int):
            known = (self.slots.completed(encoding.decode(row)) for row in rows)
            return np.array([self.holds(values) for values in known], bool)
        counted = [self._counts(encoding, rows, place) for place in range(len(self.slots.items))]
        return np.asarray((np.sum(counted, axis=0) * self.slots.repeat > 1).any(axis=1))

    def _counts(self, encoding: Encoding, rows: Array, place: int) -> Array:
        """Return how often each block stands in one slot of rows [n, N]: [n, blocks]."""
        item, table = self.slots.items[place], self._table
        if item.name not in encoding.column:  # it has one choice only
            used = item.condition.rows(encoding, rows) if item.condition else np.ones(len(rows), bool)
            return np.asarray(used[:, None] * table[0])
        chosen = rows[:, encoding.column[item.name]]
        used = ~np.isnan(chosen)
        return np.asarray(used[:, None] * table[np.where(used, chosen, 0.0).astype(int)])

    @functools.cached_property
    def _table(self) -> Array:
        """How often each choice of a slot names each block by itself, not in a span: [choices, blocks]."""
        listed = [c if isinstance(c, list) else [c] for c in map(plain, self.slots.items[0].choices)]
        names = sorted({name for choice in listed for name in choice if isinstance(name, str)})
        return np.array([[float(choice.count(name)) for name in names] for choice in listed])


@dataclass(frozen=True)
class When:
    """The user's own condition."""

    expression: Expression
    scope: Callable[[Values], Lookup] = field(compare=False)

    def holds(self, values: Values) -> bool:
        """See `Condition`."""
        return self.expression.holds(self.scope(values))

    def rows(self, encoding: Encoding, rows: Array) -> Bools:
        """See `Condition`."""
        return np.array([self.holds(encoding.decode(row)) for row in rows], bool)


@dataclass(frozen=True)
class Every:
    """All of several conditions."""

    conditions: tuple[Condition, ...]

    def holds(self, values: Values) -> bool:
        """See `Condition`."""
        return all(condition.holds(values) for condition in self.conditions)

    def rows(self, encoding: Encoding, rows: Array) -> Bools:
        """See `Condition`."""
        found: Bools = np.all([condition.rows(encoding, rows) for condition in self.conditions], axis=0)
        return found


def both(first: Condition | None, second: Condition | None) -> Condition | None:
    """Return the condition that is met where both are; None is always met."""
    known = [condition for condition in (first, second) if condition is not None]
    return Every(tuple(known)) if len(known) > 1 else (known[0] if known else None)
