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

    `nas-bench rungs` (100 orders; the best one's rank after 12 full trainings, minus that where nobody is
    bold, with its standard error): of text, 5, 10 and 20 % bold +0.27 ± 0.16, +0.58 ± 0.29 and
    +0.83 ± 0.33; of recall, whose ranks at the first rung mislead (rank correlation 0.43 with the last
    ones, 0.33 at the second), -0.06 ± 0.17, +0.01 ± 0.19 and +0.13 ± 0.18. Only of recall after 3 trainings
    10 % and 20 % find better ones, by 2.3 ± 0.9 and 3.0 ± 1.3 ranks of 60. So 5 % are the price of an
    insurance, against tasks whose good trials start more slowly than these; 0 is best where none do.
    That hopeless ones end changes no rank until then, and saves 30 % and 24 % of the work where all
    candidates are raced; of recall the best of all is then missed by 0.14 ± 0.07 ranks.

    Args:
        reduction_factor: one in so many goes on; each next rung has at least so many times the budget.
        first: the share of the budget before which an evaluation is no rung.
        pause: whether trials are paused; otherwise they end at the rung, for good.
        bold: the share of trials that go on at every rung all the same: some start slowly; see above.
        hopeless: a trial ends at a rung if it comes out better than the best one finished with less than
            this probability, as told by `nas.search.rungs.forecast`; null: never.

    Raises:
        InputError: one sentence for each number that is out of its range.
    """

    def __init__(
        self,
        reduction_factor: int = 2,
        first: float = 0.125,
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
