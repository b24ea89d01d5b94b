"""Bayesian ridge regression: a linear model whose shrinkage is the one that its data speak for most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
_SHRINKAGES = np.geomspace(1e-3, 1e5, 65)


@dataclass(frozen=True)
class Ridge:
    """A fitted model.

    Attributes:
        center, scale: of the features [F]; one that never differed has the scale infinity, and no say.
        weights: of the standardized features [F].
        offset: the mean of the values.
        left_out: for each of the n rows what a model without it predicts of it, with the same shrinkage.
    """

    center: Array
    scale: Array
    weights: Array
    offset: float
    left_out: Array

    def predict(self, rows: Array) -> Array:
        """Return the predicted values [m] of features [m, F]."""
        predicted: Array = (rows - self.center) / self.scale @ self.weights + self.offset
        return predicted


def fit(rows: Array, values: Array) -> Ridge:
    """Fit a model to features [n, F] and values [n].

    The weights' prior is normal; its width is the one with the most evidence (MacKay 1992, Bayesian
    interpolation), found on a grid; predictions of left-out rows come from the hat matrix (Allen 1974).
    """
    center, deviation = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(deviation > 1e-12 * (1 + np.abs(center)), deviation, np.inf)
    offset = float(values.mean())
    centered = values - offset
    left, singular, right = np.linalg.svd((rows - center) / scale, full_matrices=False)
    seen = left.T @ centered
    shrinkage = _most_evident(singular, seen, float(centered @ centered), len(values))
    kept = singular**2 / (singular**2 + shrinkage)
    fitted = left @ (kept * seen)
    leverage = np.minimum(1 / len(values) + left**2 @ kept, 1 - 1e-9)
    weights = right.T @ (singular / (singular**2 + shrinkage) * seen)
    return Ridge(center, scale, weights, offset, values - (centered - fitted) / (1 - leverage))


def _most_evident(singular: Array, seen: Array, total: float, count: int) -> float:
    """Return the shrinkage that maximizes the marginal likelihood, the noise's width profiled out."""
    unseen = max(total - float(seen @ seen), 0.0)
    part = _SHRINKAGES[:, None] / (singular**2 + _SHRINKAGES[:, None])
    misfit = np.maximum(part @ seen**2 + unseen, 1e-300)
    surprise = count * np.log(misfit) - np.log(part).sum(axis=1)
    return float(_SHRINKAGES[np.argmin(surprise)])
