"""A Gaussian process over configurations: what a value is likely to be, and how sure that is."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import numpy as np

from nas.search.samplers.encoding import Array, Encoding
from nas.search.samplers.features import Features
from nas.search.samplers.kernel import Kernel, Layout
from nas.search.samplers.likeness import Likeness

_RATE, _INERTIA, _MEMORY = 0.15, 0.8, 0.95


class Belief:
    """The settings of a kernel, and the way by which they came there: Adam goes on where it was.

    Args:
        encoding: of the rows that are to be compared.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.of = encoding
        self.layout = Layout.of(encoding)
        self.settings = self.layout.expected
        self._first, self._second = np.zeros(len(self.settings)), np.zeros(len(self.settings))
        self._steps = 0

    def climb(self, gradient: Array) -> None:
        """Take a step up (Kingma & Ba 2014, arXiv 1412.6980)."""
        self._steps += 1
        self._first += (1 - _INERTIA) * (gradient - self._first)
        self._second += (1 - _MEMORY) * (gradient**2 - self._second)
        first = self._first / (1 - _INERTIA**self._steps)
        second = self._second / (1 - _MEMORY**self._steps)
        self.settings = self.settings + _RATE * first / (np.sqrt(second) + 1e-3)


class Process:
    """Values with uncertainty, by the settings that explain the observations best and are likely before them.

    Args:
        rows: observed, [n, N].
        values: of them [n], of mean about 0 and deviation about 1.
        belief: from what is believed of the kernel, so many ``steps`` are climbed; it is changed.
    """

    def __init__(self, rows: Features, values: Array, belief: Belief, steps: int) -> None:
        self._rows, self._values, self._layout = rows, values, belief.layout
        likeness = Likeness(rows, rows)
        for _ in range(steps):
            belief.climb(self.slope(likeness, belief.settings))
        self._kernel = Kernel(belief.layout, belief.settings)
        covariance = self._kernel.covariance(likeness)
        self._fit = _fit(covariance, self._kernel.noise, values)
        self.expected = covariance @ self._fit.solved
        """What the process expects of the observed rows [n], without their noise."""

    def evidence(self, likeness: Likeness, settings: Array) -> float:
        """Return the logarithm of the probability of values and settings, but for a constant."""
        kernel = Kernel(self._layout, settings)
        fit = _fit(kernel.covariance(likeness), kernel.noise, self._values)
        unlikely = (((settings - self._layout.expected) / self._layout.deviation) ** 2).sum()
        return float(
            -0.5 * len(self._values) * np.log(fit.scale) + np.log(np.diag(fit.whitening)).sum() - unlikely / 2
        )

    def slope(self, likeness: Likeness, settings: Array) -> Array:
        """Return the derivative of `evidence` by the settings."""
        kernel = Kernel(self._layout, settings)
        terms = kernel.terms(likeness)
        fit = _fit(kernel.total(terms), kernel.noise, self._values)
        weight = 0.5 * (np.outer(fit.solved, fit.solved) / fit.scale - fit.whitening.T @ fit.whitening)
        pull = (settings - self._layout.expected) / self._layout.deviation**2
        return kernel.gradient(likeness, terms, weight) - pull

    def predict(self, rows: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation [m] of the values of rows [m, N], without their noise."""
        cross = self._kernel.covariance(Likeness(Features(self._rows.encoding, rows), self._rows))
        variance = np.maximum(1.0 - ((cross @ self._fit.whitening.T) ** 2).sum(axis=1), 1e-12)
        return cross @ self._fit.solved, np.sqrt(self._fit.scale * variance)


class _Fit(NamedTuple):
    """What predicting needs: the scale of the covariance, and the values and the rows made independent."""

    scale: float
    solved: Array
    whitening: Array


def _fit(covariance: Array, noise: float, values: Array) -> _Fit:
    whitening = np.asarray(np.linalg.inv(_root(covariance, noise)), dtype=np.float64)
    white = whitening @ values
    # The variance is the one that explains the values best, so that only shapes are compared.
    scale = max(float(white @ white) / len(values), 1e-9)
    return _Fit(scale, whitening.T @ white, whitening)


def _root(covariance: Array, noise: float) -> Array:
    """Return the lower triangular root; where rounding leaves none, with a little more noise."""
    ones = np.eye(len(covariance))
    for more in (1e-8, 1e-5, 1e-2):
        with contextlib.suppress(np.linalg.LinAlgError):
            return np.asarray(np.linalg.cholesky(covariance + (noise + more) * ones), dtype=np.float64)
    return np.asarray(np.linalg.cholesky(covariance + ones), dtype=np.float64)
