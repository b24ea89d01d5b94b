"""NSGA-II: a population that spreads along the front of several objectives."""

from __future__ import annotations

import optuna

from nas.search.samplers.constraints import Constrained


class NSGA2(Constrained, optuna.samplers.NSGAIISampler):
    """Optuna's NSGA-II (Deb et al. 2002) with a population that fits budgets of a hundred trials.

    Args:
        population_size: trials of a generation.
        seed: of the sampler's own random stream.
    """

    def __init__(self, population_size: int = 20, seed: int | None = None) -> None:
        super().__init__(population_size=population_size, seed=seed)
