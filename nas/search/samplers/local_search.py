"""Local search: the neighbours of the best trial, one after another."""

from __future__ import annotations

import numpy as np

from nas.errors import check_positive
from nas.search.samplers.encoding import Array, Encoding
from nas.search.samplers.history import History
from nas.search.samplers.proposing import ProposingSampler


class LocalSearch(ProposingSampler):
    """Climbs from the best trial in single edits (White et al. 2020, arXiv 2005.02960).

    When every neighbour of the best was tried, those of the second best come, and so on: that is
    the restart, and needs no memory of its own.

    Args:
        n_startup_trials: random trials before the climb.
        seed: of the sampler's own random stream.

    Raises:
        InputError: ``n_startup_trials`` is not positive.
    """

    def __init__(self, n_startup_trials: int = 10, seed: int | None = None) -> None:
        super().__init__(seed)
        check_positive(n_startup_trials=n_startup_trials)
        self.n_startup_trials = n_startup_trials

    def propose(self, encoding: Encoding, history: History) -> Array:
        """Return an untried neighbour of the best trial that has one."""
        if len(history.rows) < self.n_startup_trials:
            return self.fresh(encoding, history)
        order = np.argsort(history.scores(self._rng), kind="stable")[:10]
        nearby = [self._rng.permutation(encoding.neighbours(history.rows[i], self._rng)) for i in order]
        return self.fresh(encoding, history, np.concatenate(nearby))
