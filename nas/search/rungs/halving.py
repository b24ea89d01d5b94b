"""Asynchronous successive halving, as configured: where the rungs are and who goes on from them."""

from __future__ import annotations

from collections.abc import Sequence

from nas.configured import Configured
from nas.errors import InputError


class SuccessiveHalving(Configured):
    """Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934) that continues from checkpoints.

    A trial goes on past a rung if it is among the best ``1 / reduction_factor`` of those that have
    reached it by then, or the best of too few. Otherwise it is paused, and its worker takes another
    trial: as more trials reach the rung, a paused one may become one of the best, and is continued
    before a new trial is begun; what is paused at the end of a search waits for a larger ``n_trials``,
    or goes on where all of the space was asked for and more trials are wanted.
    Nobody waits for others. Differences: a rung is an evaluation of the run and not a budget of its own;
    who comes to it first goes on, so that the first result is there as soon as a trial takes; a share of
    those that would be paused goes on; a trial whose forecast is hopeless ends.

    `nas-bench rungs` (100 orders; the best one's rank after 12 full trainings, minus that where nobody is
    bold and the first rung is at a quarter, with its standard error): of text, 5, 10 and 20 % bold
    +0.31 ± 0.16, +0.43 ± 0.17 and +0.60 ± 0.23; of recall, whose early ranks mislead (rank correlation with
    the last ones 0.43 at a quarter, 0.33 at a half), +0.07 ± 0.12, +0.06 ± 0.12 and +0.17 ± 0.17. Only of
    recall after 3 trainings 10 and 20 % find better ones, by 1.6 ± 0.7 and 2.0 ± 0.7 ranks of 60. So 5 % are
    the price of an insurance; 0 is best where no good trial starts slowly. That hopeless ones end changes no
    rank until then, and saves 31 and 24 % of the work where all candidates are raced; of recall the best of
    all is then missed by 0.08 ± 0.06 ranks. A first rung at an eighth: -0.53 ± 0.32 and -1.26 ± 0.34, and
    a third less work.

    Where early ranks mislead, culling costs a sampler that learns what it has found out. In searches of
    tables of trained lists by `sampler=auto` (the same bench; the best list's rank of 343 after 6, 9 and 12
    trainings, standard errors about a tenth) text has 29, 13, 6 with the default, 37, 17, 9 with a first
    rung at a quarter, 41, 19, 8 at a half and 48, 31, 12 without rungs (rank correlations of single runs
    with their ends 0.78 at an eighth, 0.87, 0.95); grammar 49, 34, 24 from a quarter on, 35, 20, 16 from a
    half on and 37, 25, 17 without (0.23, 0.91); recall 89, 64, 37, then 64, 43, 36, and 58, 44, 34 (0.35,
    0.12). So for a task whose good models start late, set ``first`` to 0.5, or rungs to null.

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
