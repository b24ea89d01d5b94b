"""A space as the samplers see it: rows of numbers of which only some make sense, and edits of whole lists."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution

from nas.search.samplers.encoding import Array, Encoding
from nas.search.spaces.conditions import Values
from nas.search.spaces.parameters import Choice
from nas.search.spaces.slots import Slots
from nas.search.spaces.space import Space


class Guide:
    """Tells samplers how a space hangs together; see `nas.search.samplers.structure.Structure`.

    Args:
        space: what varies.
        allowed: whether a configuration would be trained.
    """

    def __init__(self, space: Space, allowed: Callable[[Values], bool]) -> None:
        self._space = space
        self._allowed = allowed
        parameters = space.parameters()
        self.distributions: Mapping[str, BaseDistribution] = {p.name: p.distribution() for p in parameters}
        self.weights: Mapping[str, Sequence[float]] = {
            p.name: p.weights for p in parameters if isinstance(p, Choice) and p.weights is not None
        }
        self._single = {p.name: p.probes()[0] for p in parameters if p.size() == 1}
        self._conditional = [p for p in parameters if p.condition is not None]
        self._lists = [entry for entry in space.entries if isinstance(entry, Slots)]

    def settle(self, encoding: Encoding, rows: Array, rng: np.random.Generator) -> Array:
        """Return rows [n, N] with NaN where a parameter is not asked for, random values where one is new."""
        rows = rows.copy()
        spare = None
        for parameter in self._conditional:
            if parameter.name not in encoding.column:
                continue
            assert parameter.condition is not None
            column = encoding.column[parameter.name]
            active = parameter.condition.rows(encoding, rows)
            lacking = active & np.isnan(rows[:, column])
            if lacking.any():
                spare = encoding.uniform(rng, len(rows)) if spare is None else spare
                rows[lacking, column] = spare[lacking, column]
            rows[~active, column] = np.nan
        return rows

    def edits(self, encoding: Encoding, row: Array, rng: np.random.Generator) -> Array:
        """Return rows [M, N]: in each list two slots swapped, one slot taken out, or one put in."""
        found = [edited for slots in self._lists for edited in self._list_edits(encoding, row, slots, rng)]
        return np.array(found).reshape(len(found), len(row))

    def allowed(self, params: Mapping[str, Any]) -> bool:
        """Return whether a configuration would be trained."""
        return self._allowed({**self._settled_single(params), **params})

    def _settled_single(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters with one value only, which samplers do not see, where they are asked for."""
        if not self._single:
            return {}
        known = {**self._single, **params}
        return {k: v for k, v in self._space.walk(lambda p: known[p.name]).items() if k in self._single}

    def _list_edits(
        self, encoding: Encoding, row: Array, slots: Slots, rng: np.random.Generator
    ) -> list[Array]:
        columns = [encoding.column[item.name] for item in slots.items if item.name in encoding.column]
        used = [column for column in columns if not np.isnan(row[column])]
        found = []
        for a, b in itertools.combinations(used, 2):
            if row[a] != row[b]:
                found.append(_placed(row, [a, b], [row[b], row[a]]))
        length = slots.length
        if length is None or length.name not in encoding.column:
            return found
        lengths = encoding.column[length.name]
        values = encoding.steps(length.name)
        at = int(np.argmin(np.abs(values - row[lengths])))
        if at > 0:
            shorter = _placed(row, [lengths], [values[at - 1]])
            found += [_placed(shorter, used, [*np.delete(row[used], i), np.nan]) for i in range(len(used))]
        if at + 1 < len(values) and len(used) < len(columns):
            longer, more = _placed(row, [lengths], [values[at + 1]]), columns[: len(used) + 1]
            drawn = encoding.uniform(rng, len(more))[:, columns[0]]
            found += [_placed(longer, more, np.insert(row[used], i, new)) for i, new in enumerate(drawn)]
        return found


def _placed(row: Array, columns: list[int], values: Any) -> Array:
    edited = row.copy()
    edited[columns] = values
    return edited
