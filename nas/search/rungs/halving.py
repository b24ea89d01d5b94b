"""Asynchronous successive halving, as configured: where the rungs are and who goes on from them."""

from __future__ import annotations

from collections.abc import Sequence

from nas.configured import Configured
from nas.errors import InputError


class SuccessiveHalving(Configured):
    """Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934) that continues from checkpoints.

    A trial goes on past a rung if it is among the best ``1 / reduction_factor`` of those that have
    reached it by then. Otherwise it is paused, and its worker takes another trial: as more trials reach
    the rung, a paused one may become one of the best, and is continued before a new trial is begun;
    what is paused at the end of a search waits for a larger ``n_trials``, or goes on where all of the
    space was asked for and more trials are wanted.
    Nobody waits for others. Differences: a rung is an evaluation of the run and not a budget of its own;
    a share of those that would be paused goes on; a trial whose forecast is hopeless ends.

    Args:
        reduction_factor: one in so many goes on; each next rung has at least so many times the budget.
        first: the share of the budget before which an evaluation is no rung.
        pause: whether trials are paused; otherwise they end at the rung, for good.
        bold: the share of trials that go on at every rung all the same: some start slowly.
        hopeless: a trial ends at a rung if it comes out better than the best one finished with less than
            this probability, as told by `nas.search.rungs.forecast`; null: never.

    Raises:
        InputError: one sentence for each number that is out of its range.
    """

    def __init__(
        self,
        reduction_factor: int = 2,
        first: float = 0.25,
        pause: bool = True,
        bold: float = 0.05,
        hopeless: float | None = 0.05,
    ) -> None:
        mistakes = []
        if reduction_factor < 2:
            mistakes.append(f"rungs.reduction_factor={reduction_factor!r} must be at least 2")
        if not 0 <= first < 1:
            mistakes.append(f"rungs.first={first!r} must be a share from 0 to less than 1")
        if not 0 <= bold <= 1:
            mistakes.append(f"rungs.bold={bold!r} must be a share from 0 to 1")
        if hopeless is not None and not 0 < hopeless < 0.5:
            mistakes.append(f"rungs.hopeless={hopeless!r} must be a probability between 0 and 0.5, or null")
        if mistakes:
            raise InputError(*mistakes)
        self.reduction_factor, self.first, self.pause = reduction_factor, first, pause
        self.bold, self.hopeless = bold, hopeless

    def levels(self, evaluate_at: Sequence[float]) -> list[int]:
        """Return the rungs in percent of the budget: evaluations before the end, ever farther apart."""
        found: list[int] = []
        for share in sorted(evaluate_at):
            far_enough = not found or percent(share) >= self.reduction_factor * found[-1]
            if self.first <= share < 1 and far_enough:
                found.append(percent(share))
        return found


def percent(progress: float) -> int:
    """Return a share of the budget in percent."""
    return round(progress * 100)
