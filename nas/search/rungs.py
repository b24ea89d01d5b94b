"""Rungs: the shares of the budget at which trials are compared and the worse ones stopped."""

from __future__ import annotations

import optuna

from nas.configured import Configured
from nas.errors import InputError


class SuccessiveHalving(Configured):
    """Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934) through Optuna's pruner.

    A trial goes on past a rung if it is among the best ``1 / reduction_factor`` of those that have
    reached it so far. Nobody waits for others, so early trials pass more easily.

    Args:
        reduction_factor: one in this many goes on; each next rung has this times the budget.
    """

    def __init__(self, reduction_factor: int = 2) -> None:
        if reduction_factor < 2:
            raise InputError(f"pruner.reduction_factor={reduction_factor!r} must be at least 2")
        self.reduction_factor = reduction_factor

    def build(self, evaluate_at: list[float]) -> optuna.pruners.BasePruner:
        """Return the pruner whose first rung is the first evaluation; resources are percent of the budget."""
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=max(1, percent(min(evaluate_at))), reduction_factor=self.reduction_factor
        )


def percent(progress: float) -> int:
    """Return the resource that a share of the budget stands for."""
    return round(progress * 100)
