"""When a parameter is asked for, as far as finished trials tell: what a study does not say of its space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.search.samplers.encoding import Array

Bools = npt.NDArray[np.bool_]
_READ = 300
"""Of so many of the latest trials rules are learned."""


@dataclass(frozen=True)
class Rule:
    """A parameter is asked for while another is in a range, or has one of some values.

    Attributes:
        column: of the parameter.
        parent: the column that decides.
        low, high: the range of a number.
        without: of a choice, what was seen without the parameter; None: the other is a number.
    """

    column: int
    parent: int
    low: float = -np.inf
    high: float = np.inf
    without: tuple[float, ...] | None = None

    def asked(self, rows: Array) -> Bools:
        """Return for rows [n, N] whether the parameter is asked for; one without the parent is not: [n]."""
        values = rows[:, self.parent]
        if self.without is not None:
            return ~(np.isin(values, self.without) | np.isnan(values))
        return (values > self.low) & (values < self.high)


class Presence:
    """Rules that no trial contradicts.

    Args:
        rows: of trials, [n, N]; NaN is what was not asked for.
        is_categorical: which parameters have choices, [N].
    """

    def __init__(self, rows: Array, is_categorical: Bools) -> None:
        latest = rows[-_READ:]
        partial = np.flatnonzero(np.isnan(latest).any(axis=0))
        found = [_rule(latest, int(column), is_categorical) for column in partial]
        self.rules = _in_order([rule for rule in found if rule is not None])

    def contradicted(self, rows: Array) -> bool:
        """Return whether rows [n, N] were asked for what the rules say they would not be, or otherwise."""
        given = ~np.isnan(rows)
        known = {rule.column for rule in self.rules}
        others = [i for i in range(rows.shape[1]) if i not in known]
        return not given[:, others].all() or any(
            bool((rule.asked(rows) != given[:, rule.column]).any()) for rule in self.rules
        )

    def settle(self, rows: Array, spare: Array) -> Array:
        """Return rows [n, N] with NaN just where nothing is asked for, and of ``spare`` what lacks."""
        rows = np.where(np.isnan(rows), spare, rows)
        for rule in self.rules:
            rows[~rule.asked(rows), rule.column] = np.nan
        return rows


def _rule(rows: Array, column: int, is_categorical: Bools) -> Rule | None:
    """Return the first rule that explains when a parameter is asked for."""
    given = ~np.isnan(rows[:, column])
    for parent in range(rows.shape[1]):
        values = rows[:, parent]
        if parent == column or np.isnan(values[given]).any():
            continue
        here = values[~given & ~np.isnan(values)]
        if is_categorical[parent]:
            rule = Rule(column, parent, without=tuple(np.unique(here).tolist()))
        else:
            rule = _range(column, parent, values[given], here)
        if (rule.asked(rows) == given).all() and not _mutual(rows, column, parent):
            return rule
    return None


def _range(column: int, parent: int, inside: Array, outside: Array) -> Rule:
    """Return the rule of a range: halfway between what was seen inside and outside of it."""
    if len(inside) == 0:
        return Rule(column, parent, high=-np.inf)
    below, above = outside[outside < inside.min()], outside[outside > inside.max()]
    low = (below.max() + inside.min()) / 2 if len(below) else -np.inf
    high = (above.min() + inside.max()) / 2 if len(above) else np.inf
    return Rule(column, parent, float(low), float(high))


def _mutual(rows: Array, column: int, parent: int) -> bool:
    """Return whether two parameters always come together, so that neither decides."""
    return bool((np.isnan(rows[:, column]) == np.isnan(rows[:, parent])).all())


def _in_order(rules: Sequence[Rule]) -> list[Rule]:
    """Return rules such that each comes after the one that decides about its parent."""
    left, ordered = {rule.column: rule for rule in rules}, []
    while left:
        free = [rule for rule in left.values() if rule.parent not in left]
        if not free:  # a circle: nothing is known of these
            break
        for rule in free:
            ordered.append(left.pop(rule.column))
    return ordered
