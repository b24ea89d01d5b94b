"""Learning-curve extrapolation: where a trial would end, told from the finished trials of the same study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

SPARE = 6
"""A forecast rests on this many finished trials more than it has numbers to find."""


@dataclass(frozen=True)
class Forecast:
    """A normal distribution of the final value.

    Attributes:
        mean: what is expected.
        deviation: its standard deviation.
    """

    mean: float
    deviation: float

    def bound(self, chance: float, sign: int) -> float:
        """Return the value that the end is better than with probability ``chance``.

        Args:
            chance: from 0 to 1.
            sign: 1 where small values are good, -1 where large ones are.
        """
        return self.mean + sign * self.deviation * NormalDist().inv_cdf(chance)


def forecast(curve: Sequence[float], curves: npt.ArrayLike, ends: npt.ArrayLike) -> Forecast | None:
    """Return where a curve would end, or None while too little is known.

    Linear regression of the final value on the values at the rungs so far, over finished trials; the
    deviation holds the noise and the regression's own uncertainty. After Baker et al. 2017 (arXiv
    1705.10823), who stop by such forecasts. Differences: ordinary least squares on the partial curve
    alone instead of a tuned support-vector machine that also sees the architecture, because studies
    are small; a normal distribution as wide as Student's t of the same residuals.

    Args:
        curve: values at the rungs so far, [r].
        curves: those of n finished trials at the same rungs, [n, r].
        ends: their final values, [n].
    """
    seen = np.asarray(curves, float)
    freedom = len(seen) - len(curve) - 1
    if freedom < SPARE:
        return None
    middle, scale = seen.mean(axis=0), seen.std(axis=0)
    scale[scale == 0] = 1.0

    def features(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.column_stack([np.ones(len(rows)), (rows - middle) / scale])

    design, target = features(seen), np.asarray(ends, float)
    weights, *_ = np.linalg.lstsq(design, target, rcond=None)
    residual = target - design @ weights
    at = features(np.asarray(curve, float)[None])[0]
    leverage = float(at @ np.linalg.pinv(design.T @ design) @ at)
    variance = float(residual @ residual) / freedom * (1 + leverage) * freedom / (freedom - 2)
    return Forecast(float(at @ weights), math.sqrt(variance))
