"""A screen by prediction: a linear model of this study's results, heard once it has proved itself.

`nas-bench scores` on our two tables (20 orders): of lists of similar size that it has not seen, a model of
64 orders 0.78 and 0.36 (Kendall's tau); zero-cost scores alone 0.50 and 0.11, and they add nothing to
the parameters and blocks. Of 64 lists trained, the best one is of rank 4.1 instead of 6.1, and 4.8
instead of 5.4 where nothing is screened (proposals at random; within one standard deviation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.trial import FrozenTrial

from nas.search.census import is_scored
from nas.search.correlation import Correlation, kendall, kendall_within
from nas.search.features import Features
from nas.search.objectives import Objective
from nas.search.proxies.agreement import SIMILAR
from nas.search.ridge import Array, Ridge, fit
from nas.search.screen import MEASURED, PREDICTED, Screen
from nas.search.spaces.space import Space

LEAST = 12
"""With fewer finished trials everything is let through."""
MOST = 256
"""The model learns from so many trials that finished last."""
_GROWN = 1.1
"""It learns again once there are so many times as many."""


@dataclass(frozen=True)
class Learned:
    """A model, and what it was worth on trials that it had not seen.

    Attributes:
        model: predicts how good a trial becomes.
        every: Kendall's tau of left-out predictions and results, over all pairs.
        similar: over the pairs of similar size, of which there are ``pairs``.
    """

    model: Ridge
    every: Correlation
    similar: Correlation
    pairs: int

    @property
    def trusted(self) -> bool:
        """Whether it orders models of similar size better than chance."""
        return self.similar.low > 0

    def in_words(self, objective: str) -> str:
        """Say what it is worth, and what follows."""
        told = (
            f"Predicted {objective} over {self.every.count} trials, each left out in turn, Kendall's tau "
            f"(95 %): {self.every} over all pairs / {self.similar} over the {self.pairs} pairs of "
            f"similar size (parameters within {SIMILAR:.0%})"
        )
        if self.trusted:
            return f"{told}: proposals are screened by it."
        return f"{told}: not distinguishable from 0 at similar size, so every proposal is trained."


def learn(rows: Array, goodness: Sequence[float], sizes: Sequence[float]) -> Learned:
    """Fit a model to features [n, F], and measure it on rows that were left out.

    Args:
        rows: the features.
        goodness: the higher the better, [n].
        sizes: parameters, [n].
    """
    model = fit(rows, np.asarray(goodness, dtype=np.float64))
    left_out = [float(value) for value in model.left_out]
    similar, pairs = kendall_within(left_out, goodness, sizes, SIMILAR)
    return Learned(model, kendall(left_out, goodness), similar, pairs)


class PredictedScreen(Screen):
    """Lets a proposal through if its predicted result is among the better share of all proposals'.

    Features are the parameters, how often each block is in a list, and the zero-cost scores. Results are
    those of trials that were trained from scratch to their end. While these are few, or the model does
    not order models of similar size, everything is let through.

    Args:
        keep: the share that is let through.
        space: of the study.
        objective: of the study.
    """

    def __init__(self, keep: float, space: Space, objective: Objective) -> None:
        super().__init__(PREDICTED, keep)
        self._features, self._objective = Features(space), objective
        self._learned: Learned | None = None
        self._count = 0

    def judged(self, trials: Sequence[FrozenTrial]) -> Mapping[int, float] | None:
        """Return the predicted goodness of every trial with scores; None while the model has no say."""
        learned = self._learn(trials)
        if learned is None or not learned.trusted:
            return None
        known = [t for t in trials if MEASURED in t.user_attrs]
        predicted = learned.model.predict(self._rows(known))
        return {t.number: float(value) for t, value in zip(known, predicted, strict=True)}

    def remarks(self, trials: Sequence[FrozenTrial]) -> list[str]:
        """Say what the model is worth, once there are enough trials."""
        self._count = 0  # of all that there are by now
        learned = self._learn(trials)
        if learned is None:
            return [f"Fewer than {LEAST} finished trials: nothing was predicted, and every proposal trained."]
        return [learned.in_words(self._objective.name)]

    def _learn(self, trials: Sequence[FrozenTrial]) -> Learned | None:
        done = [t for t in trials if is_scored(t)]
        if len(done) < LEAST:
            return None
        if self._learned is None or len(done) >= _GROWN * self._count:
            latest = done[-MOST:]
            goodness = [-self._objective.sign * t.values[0] for t in latest]
            sizes = [t.user_attrs[MEASURED]["parameters"] for t in latest]
            self._learned, self._count = learn(self._rows(latest), goodness, sizes), len(done)
        return self._learned

    def _rows(self, trials: Sequence[FrozenTrial]) -> Array:
        return features(self._features, [t.params for t in trials], [t.user_attrs[MEASURED] for t in trials])


def features(
    of_space: Features, params: Sequence[Mapping[str, object]], scores: Sequence[Mapping[str, float]]
) -> Array:
    """Return the features [n, F] of configurations: their own, and the logarithms of their scores."""
    told = np.array([list(each.values()) for each in scores], dtype=np.float64)
    return np.hstack([of_space.rows([dict(p) for p in params]), np.sign(told) * np.log1p(np.abs(told))])  # type: ignore[arg-type]
