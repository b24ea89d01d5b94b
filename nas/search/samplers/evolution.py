"""Regularized evolution: a good recent trial, changed in one place."""

from __future__ import annotations

import numpy as np

from nas.errors import check_positive
from nas.search.samplers.encoding import Array, Encoding
from nas.search.samplers.history import History
from nas.search.samplers.proposing import ProposingSampler


class RegularizedEvolution(ProposingSampler):
    """Of a few of the latest trials, the best becomes the parent of the next (Real et al. 2018).

    Aging evolution (arXiv 1802.01548). Differences: a child that was tried before is not proposed
    again; numbers move a little or a lot; steady-state, so that any number of workers may ask.

    Args:
        population: how many of the latest trials may be parents; as many random ones come first.
        tournament: of how many the parent is the best.
        seed: of the sampler's own random stream.

    Raises:
        InputError: a number is not positive.
    """

    def __init__(self, population: int = 20, tournament: int = 5, seed: int | None = None) -> None:
        super().__init__(seed)
        check_positive(population=population, tournament=tournament)
        self.population, self.tournament = population, tournament

    def propose(self, encoding: Encoding, history: History) -> Array:
        """Return a neighbour of the tournament's winner."""
        if len(history.rows) < self.population:
            return self.fresh(encoding, history)
        scores = history.scores(self._rng)[-self.population :]
        rows = history.rows[-self.population :]
        players = self._rng.choice(len(rows), min(self.tournament, len(rows)), replace=False)
        parent = rows[players[np.argmin(scores[players])]]
        children = encoding.neighbours(parent, self._rng)
        return self.fresh(encoding, history, self._rng.permutation(children))
