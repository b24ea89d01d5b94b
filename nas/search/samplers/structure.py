"""What a sampler may be told of a space beyond Optuna's distributions; without it every sampler works too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from optuna.distributions import BaseDistribution

if TYPE_CHECKING:
    from nas.search.samplers.encoding import Array, Encoding


class Structure(Protocol):
    """A space whose parameters depend on each other, and of which some configurations are not wanted."""

    @property
    def distributions(self) -> Mapping[str, BaseDistribution]:
        """Every parameter there is, each after those that it depends on."""

    @property
    def weights(self) -> Mapping[str, Sequence[float]]:
        """How likely the choices of a categorical parameter are; those left out: all alike."""

    def settle(self, encoding: Encoding, rows: Array, rng: np.random.Generator) -> Array:
        """Return rows [n, N] with NaN just where a parameter would not be asked for."""

    def edits(self, encoding: Encoding, row: Array, rng: np.random.Generator) -> Array:
        """Return rows [M, N] that are one edit away from a row [N] and differ in several parameters."""

    def allowed(self, params: Mapping[str, Any]) -> bool:
        """Return whether a configuration would be trained."""
