"""A surrogate: a model of all trials so far says which configuration promises most."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from nas.errors import check_positive
from nas.search.samplers.encoding import Array, Encoding
from nas.search.samplers.history import History, key
from nas.search.samplers.process import KERNELS, Kernel, Process
from nas.search.samplers.proposing import ProposingSampler

_MOST = 200
"""More observations than these would cost more time than they tell: the best and the latest are kept."""
_ERF = np.vectorize(math.erf, otypes=[np.float64])


class Surrogate(ProposingSampler):
    """Expected improvement under a Gaussian process whose kernel fits lists of choices.

    Close to BANANAS (White et al. 2019, arXiv 1910.11858) and CoCaBO (Ru et al. 2020, arXiv
    1906.08878). Differences: kernels from purely additive to sharp are averaged by their evidence;
    expected improvement is climbed in single edits from the best trials and from random ones;
    trials that run elsewhere are believed to come out as expected (Ginsbourger et al. 2010), so
    that several workers do not crowd. The first trials spread evenly over every choice.

    Args:
        n_startup_trials: evenly spread trials before the model is asked.
        n_candidates: random configurations that are scored for each proposal.
        seed: of the sampler's own random stream.

    Raises:
        InputError: a number is not positive.
    """

    def __init__(self, n_startup_trials: int = 8, n_candidates: int = 100, seed: int | None = None) -> None:
        super().__init__(seed)
        check_positive(n_startup_trials=n_startup_trials, n_candidates=n_candidates)
        self.n_startup_trials, self.n_candidates = n_startup_trials, n_candidates
        self._kernels: list[Kernel] = []
        self._compared_at = 0

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
        model = self._model(encoding, rows, scores, len(history.rows))
        if len(history.pending):
            believed, _ = model.predict(history.pending)
            rows, seen = np.concatenate([rows, history.pending]), np.concatenate([scores, believed])
            model = Process(encoding, rows, seen, model.kernels)
        best = float(scores.min())
        return self._climb(encoding, history, model, rows[np.argsort(scores)[:5]], best)

    def _spread(self, encoding: Encoding, history: History) -> Array:
        """Return the row that is least like all that were tried."""
        drawn = encoding.random(self._rng, 64)
        tried = np.concatenate([history.rows, history.pending])
        crowded = np.exp(4 * encoding.alike(drawn, tried)).sum(axis=1)
        return self.fresh(encoding, history, drawn[np.argsort(crowded)])

    def _model(self, encoding: Encoding, rows: Array, scores: Array, count: int) -> Process:
        """Fit the process; its kernels are compared anew when there is a tenth more to compare by."""
        if not self._kernels or count > 1.1 * self._compared_at or count < self._compared_at:
            model = Process(encoding, rows, scores, KERNELS)
            self._kernels, self._compared_at = model.kernels, count
            return model
        return Process(encoding, rows, scores, self._kernels)

    def _climb(
        self, encoding: Encoding, history: History, model: Process, elite: Array, best: float
    ) -> Array:
        """Return the best of random rows, the neighbours of good ones, and what climbing from those finds."""
        near = [encoding.neighbours(row, self._rng) for row in elite]
        found = np.concatenate([encoding.random(self._rng, self.n_candidates), *near])
        gains = _improvement(model, found, best)
        asked = history.asked
        chosen: Array | None = None
        most = -math.inf
        for start in np.argsort(-gains)[:3]:
            row, gain = found[start], gains[start]
            if key(row) not in asked and gain > most:
                chosen, most = row, gain
            for _ in range(8):
                around = encoding.neighbours(row, self._rng)
                values = _improvement(model, around, best)
                order = np.argsort(-values)
                fresh = next((i for i in order if key(around[i]) not in asked), None)
                if fresh is not None and values[fresh] > most:
                    chosen, most = around[fresh], values[fresh]
                if values[order[0]] <= gain:
                    break
                row, gain = around[order[0]], values[order[0]]
        return self.fresh(encoding, history, found[np.argsort(-gains)] if chosen is None else chosen[None])


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
