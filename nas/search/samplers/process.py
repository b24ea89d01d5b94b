"""A Gaussian process over configurations: what a value is likely to be, and how sure that is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nas.search.samplers.encoding import Array, Encoding

SHARPNESS = (1.0, 2.0, 4.0, 8.0)
"""How fast values of configurations differ with the share of parameters in which they differ."""
ADDITIVE = (0.0, 0.5, 0.9)
"""How much of the variance each parameter contributes by itself."""
NOISE = (1e-3, 0.05, 0.3)
"""How much of the variance is chance."""


COUNTS = (0.0, 0.4)
"""How much of the variance comes from how often each choice is made, wherever it stands."""


class Likeness(NamedTuple):
    """How alike rows are: place by place, and in their counts; both [A, B], 0 to 1."""

    places: Array
    counts: Array

    @classmethod
    def between(cls, encoding: Encoding, left: Array, right: Array) -> Likeness:
        """Compare rows [A, N] and [B, N]."""
        return cls(encoding.alike(left, right), encoding.alike_counts(left, right))


@dataclass(frozen=True)
class Kernel:
    """Covariance from likeness: additive and sharp in the places, and sharp in the counts."""

    sharpness: float
    additive: float
    counts: float
    noise: float

    def of(self, alike: Likeness) -> Array:
        """Return the covariances [A, B]; 1 for equal rows."""
        sharp = np.exp(-self.sharpness * (1 - alike.places))
        placed = self.additive * alike.places + (1 - self.additive) * sharp
        if self.counts == 0:
            return placed
        return (1 - self.counts) * placed + self.counts * np.exp(-2 * (1 - alike.counts))


KERNELS = tuple(Kernel(*settings) for settings in itertools.product(SHARPNESS, ADDITIVE, COUNTS, NOISE))


class Process:
    """Values with uncertainty, averaged over the kernels that explain the observations best.

    Args:
        encoding: of the rows.
        rows: observed, [n, N].
        values: of them [n], of mean about 0 and deviation about 1.
        kernels: what is compared; those of an earlier process save time.
        keep: how many kernels are averaged.
    """

    def __init__(
        self,
        encoding: Encoding,
        rows: Array,
        values: Array,
        kernels: Sequence[Kernel] = KERNELS,
        keep: int = 4,
    ) -> None:
        self._encoding, self._rows = encoding, rows
        alike = Likeness.between(encoding, rows, rows)
        fits = sorted((_fit(kernel, alike, values) for kernel in kernels), key=lambda fit: -fit.evidence)
        self._fits = fits[:keep]
        weights = np.exp([fit.evidence - fits[0].evidence for fit in self._fits])
        self._weights = weights / weights.sum()

    @property
    def kernels(self) -> list[Kernel]:
        """Those that are averaged, the best first."""
        return [fit.kernel for fit in self._fits]

    def predict(self, rows: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation [m] of the values of rows [m, N]."""
        alike = Likeness.between(self._encoding, rows, self._rows)
        mean, square = np.zeros(len(rows)), np.zeros(len(rows))
        for weight, fit in zip(self._weights, self._fits, strict=True):
            cross = fit.kernel.of(alike)
            expected = cross @ fit.solved
            variance = np.maximum(1.0 - ((cross @ fit.whitening.T) ** 2).sum(-1), 0.0)
            mean += weight * expected
            square += weight * (fit.scale * variance + expected**2)
        return mean, np.sqrt(np.maximum(square - mean**2, 1e-12))


class _Fit(NamedTuple):
    """One kernel's evidence, and what predicting with it needs."""

    kernel: Kernel
    evidence: float
    scale: float
    solved: Array
    whitening: Array


def _fit(kernel: Kernel, alike: Likeness, values: Array) -> _Fit:
    count = len(values)
    covariance = kernel.of(alike) + (kernel.noise + 1e-8) * np.eye(count)
    factor = np.linalg.cholesky(covariance)
    whitening = np.linalg.inv(factor)
    white = whitening @ values
    # The variance is the one that explains the values best, so that only shapes are compared.
    scale = max(float(white @ white) / count, 1e-12)
    evidence = -0.5 * count * np.log(scale) - np.log(np.diag(factor)).sum()
    return _Fit(kernel, float(evidence), scale, whitening.T @ white, whitening)
