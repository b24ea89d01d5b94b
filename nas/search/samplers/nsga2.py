"""NSGA-II: a population that spreads along the front of several objectives."""

from __future__ import annotations

import optuna

from nas.search.samplers.constraints import Constrained, ConstraintsFunc


class NSGA2(Constrained, optuna.samplers.NSGAIISampler):
    """Optuna's NSGA-II (Deb et al. 2002) with a population that fits budgets of a hundred trials.

    Args:
        population_size: trials of a generation.
        seed: of the sampler's own random stream.
        constraints_func: tells of each trial that has ended by how much it breaks each constraint.
    """

    def __init__(
        self,
        population_size: int = 20,
        seed: int | None = None,
        constraints_func: ConstraintsFunc | None = None,
    ) -> None:
        super().__init__(population_size=population_size, seed=seed)
        self.constraints_func = constraints_func
