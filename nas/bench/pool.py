"""A recorded table as samplers of this project see it if they are told: only its rows can be chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution

from nas.bench.landscapes import Recorded, distributions
from nas.search.samplers.encoding import Array, Encoding

_NEAR = 150


class Pool:
    """The rows of a table; see `nas.search.samplers.structure.Structure`.

    Args:
        table: what was recorded.
    """

    weights: Mapping[str, Sequence[float]]

    def __init__(self, table: Recorded) -> None:
        self.weights = {}
        self.distributions: Mapping[str, BaseDistribution] = distributions(table.choices)
        self._chosen = {name for name, choices in table.choices.items() if len(choices) > 1}
        self._params = table.rows
        self._keys = {self._key(row) for row in table.rows}
        self._rows = np.zeros((0, 0))

    def settle(self, encoding: Encoding, rows: Array, rng: np.random.Generator) -> Array:
        """Return rows [n, N] of the table: the same where it has them, else any, all as likely."""
        known = self._encoded(encoding)
        places = {row.tobytes(): i for i, row in enumerate(known)}
        spare = rng.integers(len(known), size=len(rows))
        return known[[places.get(row.tobytes(), other) for row, other in zip(rows, spare, strict=True)]]

    def edits(self, encoding: Encoding, row: Array, rng: np.random.Generator) -> Array:
        """Return the rows [M, N] of the table that differ in the fewest parameters."""
        known = self._encoded(encoding)
        apart = (np.nan_to_num(known, nan=-1.0) != np.nan_to_num(row, nan=-1.0)).sum(axis=1)
        return known[np.argsort(apart, kind="stable")[:_NEAR]]

    def allowed(self, params: Mapping[str, Any]) -> bool:
        """Return whether the table has a configuration."""
        return self._key(params) in self._keys

    def _key(self, params: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
        """Return what tells configurations apart: samplers do not see parameters with one value only."""
        return frozenset((name, value) for name, value in params.items() if name in self._chosen)

    def _encoded(self, encoding: Encoding) -> Array:
        if self._rows.shape[1] != len(encoding.names):
            self._rows = np.array([encoding.encode(params) for params in self._params])
        return self._rows
