"""Samplers: Optuna samplers, one file each, usable by any Optuna study.

``auto(seed=0)`` is the one to take when nothing is known about the space.
"""

from __future__ import annotations

from nas.search.samplers.constraints import ConstraintsFunc
from nas.search.samplers.evolution import RegularizedEvolution
from nas.search.samplers.grid import Grid
from nas.search.samplers.local_search import LocalSearch
from nas.search.samplers.nsga2 import NSGA2
from nas.search.samplers.random import Random
from nas.search.samplers.surrogate import Surrogate
from nas.search.samplers.tpe import TPE

__all__ = ["NSGA2", "TPE", "Grid", "LocalSearch", "Random", "RegularizedEvolution", "Surrogate", "auto"]


def auto(seed: int | None = None, constraints_func: ConstraintsFunc | None = None) -> Surrogate:
    """Return the default sampler: for one objective or several, for any kind of parameters.

    Args:
        seed: of its random streams; None: others each time.
        constraints_func: tells of each trial that has ended by how much it breaks each constraint: numbers,
            of which those above 0 are broken.
    """
    sampler = Surrogate(seed=seed)
    sampler.constraints_func = constraints_func
    return sampler
