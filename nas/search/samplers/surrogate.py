"""A surrogate: a model of all trials so far says which configuration promises most."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from nas.errors import check_positive
from nas.search.samplers.constraints import Constrained
from nas.search.samplers.encoding import Array, Encoding
from nas.search.samplers.features import Features
from nas.search.samplers.history import History
from nas.search.samplers.likeness import Likeness
from nas.search.samplers.process import Belief, Process
from nas.search.samplers.proposing import ProposingSampler

_MOST = 120
"""More observations than these would cost more time than they tell: the best and the latest are kept."""
_CLIMBERS, _STEPS = 3, 6
"""From so many candidates improvement is climbed, by so many edits."""
_PATIENCE, _CHANCE = 12, 1 / 3
"""When nothing better came for so many trials, so large a share of proposals is left to chance.

The best of a few random rows by the model did not help on deceptive landscapes: it is what misleads there.
"""
_BETTER = 0.02
"""By so many deviations of all values a trial is better, or makes no difference."""
_ERF = np.vectorize(math.erf, otypes=[np.float64])


class Surrogate(Constrained, ProposingSampler):
    """Expected improvement under a Gaussian process whose kernel learns how choices act together.

    Close to BANANAS (White et al. 2019, arXiv 1910.11858) and CoCaBO (Ru et al. 2020, arXiv
    1906.08878). Differences: how relevant each parameter is, and how much of the variance comes from
    single parameters, pairs, all at once, or the contents of lists wherever they stand, is climbed by
    the gradient of the evidence, a few steps with each proposal (`Process`); improvement is measured
    from what the process expects of the best trial, not from its noisy value; it is climbed in single
    edits from the best trials and from random ones; trials that run elsewhere are believed to come out
    as expected (Ginsbourger et al. 2010), so that several workers do not crowd. The first trials spread
    evenly over every choice. When nothing better was found for a while, some proposals are random: what
    the model makes of a deceptive landscape may lead away from its best.

    Args:
        n_startup_trials: evenly spread trials before the model is asked.
        n_candidates: random configurations that are scored for each proposal.
        seed: of the sampler's own random stream.

    Raises:
        InputError: a number is not positive.
    """

    def __init__(self, n_startup_trials: int = 4, n_candidates: int = 100, seed: int | None = None) -> None:
        super().__init__(seed)
        check_positive(n_startup_trials=n_startup_trials, n_candidates=n_candidates)
        self.n_startup_trials, self.n_candidates = n_startup_trials, n_candidates
        self._belief: Belief | None = None

    def propose(self, encoding: Encoding, history: History) -> Array:
        """Return the row with the highest expected improvement that was not tried."""
        if len(history.rows) < self.n_startup_trials:
            return self._spread(encoding, history)
        with _blas().limit(limits=1, user_api="blas"):  # the matrices are small, the cores are busy
            return self._promising(encoding, history)

    def _promising(self, encoding: Encoding, history: History) -> Array:
        scores = history.scores(self._rng)
        kept = _telling(scores)
        rows, scores = history.rows[kept], scores[kept]
        belief, steps = self._believed(encoding, len(rows))
        model = Process(Features(encoding, rows), scores, belief, steps)
        best = float(model.expected.min())
        level = kept[np.flatnonzero(model.expected <= best + _BETTER)[0]]  # reached by this trial
        if len(history.rows) - level > _PATIENCE and self._rng.random() < _CHANCE:
            return self.fresh(encoding, history)
        if len(history.pending):
            believed, _ = model.predict(history.pending)
            every = np.concatenate([rows, history.pending])
            model = Process(Features(encoding, every), np.concatenate([scores, believed]), belief, steps=0)
        return self._climb(encoding, history, model, rows[np.argsort(scores)[:5]], best)

    def _believed(self, encoding: Encoding, count: int) -> tuple[Belief, int]:
        """Return what is believed of the kernel, and by how many steps it is to be improved now."""
        if self._belief is None or self._belief.of is not encoding:
            self._belief = Belief(encoding)
            return self._belief, 25
        return self._belief, min(max(200 // count, 1), 4)  # a step takes longer, and teaches less

    def _spread(self, encoding: Encoding, history: History) -> Array:
        """Return the row that is least like all that were tried."""
        drawn = encoding.random(self._rng, 64)
        tried = Features(encoding, np.concatenate([history.rows, history.pending]))
        even = np.full(len(encoding.names), 1.0 / len(encoding.names))
        crowded = np.exp(4 * Likeness(Features(encoding, drawn), tried).alike(even)).sum(axis=1)
        return self.fresh(encoding, history, drawn[np.argsort(crowded)])

    def _climb(
        self, encoding: Encoding, history: History, model: Process, elite: Array, best: float
    ) -> Array:
        """Return the best of random rows, the neighbours of good ones, and what climbing from those finds."""
        drawn = encoding.random(self._rng, self.n_candidates)
        seen = [np.concatenate([drawn, *self._around(encoding, elite, 20)])]
        gains = [_improvement(model, seen[0], best)]
        starts = np.argsort(-gains[0])[:_CLIMBERS]
        rows, reached = seen[0][starts], gains[0][starts]
        for _ in range(_STEPS):
            around = self._around(encoding, rows, 10)
            seen.append(np.concatenate(around))
            gains.append(_improvement(model, seen[-1], best))
            ends = np.cumsum([len(found) for found in around])
            split = np.split(gains[-1], ends[:-1])
            tops = [int(np.argmax(values)) for values in split]
            better = [v[t] > r for v, t, r in zip(split, tops, reached, strict=True)]
            if not any(better):
                break
            rows = np.array([found[t] for found, t, b in zip(around, tops, better, strict=True) if b])
            reached = np.array([v[t] for v, t, b in zip(split, tops, better, strict=True) if b])
        order = np.argsort(-np.concatenate(gains), kind="stable")
        return self.fresh(encoding, history, np.concatenate(seen)[order])

    def _around(self, encoding: Encoding, rows: Array, nearby: int) -> list[Array]:
        """Return the neighbours [M, N] of each row, and rows whose numbers differ a little in all places."""
        raw = [encoding.edits(row, self._rng) for row in rows]
        if len(encoding.numeric):
            moved = [encoding.nearby(row, self._rng, nearby) for row in rows]
            raw = [np.concatenate(pair) for pair in zip(raw, moved, strict=True)]
        settled = encoding.settled(np.concatenate(raw), self._rng)
        return np.split(settled, np.cumsum([len(found) for found in raw])[:-1])


@functools.cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def _telling(scores: Array) -> npt.NDArray[np.int64]:
    """Return the indices of the trials that the model learns from."""
    if len(scores) <= _MOST:
        return np.arange(len(scores))
    latest = np.arange(len(scores) - _MOST // 2, len(scores))
    return np.union1d(np.argsort(scores)[: _MOST // 2], latest)


def _improvement(model: Process, rows: Array, best: float) -> Array:
    """Return by how much each row [M, N] is expected to fall below ``best``."""
    mean, deviation = model.predict(rows)
    z = (best - mean) / deviation
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    gain: Array = (best - mean) * 0.5 * (1 + _ERF(z / math.sqrt(2))) + deviation * density
    return gain
