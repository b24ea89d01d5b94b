"""What was recorded once, raced again under any settings of the rungs, on a clock of full trainings."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from optuna.trial import TrialState

from nas.bench.entrants import Entrant, Entrants
from nas.search.objectives import Objective
from nas.search.rungs import reports
from nas.search.rungs.halving import SuccessiveHalving
from nas.search.rungs.race import Race
from nas.train.rung import PAUSE, STOP

LOSS = (Objective("val/loss", "minimize"),)
_Queue = list[tuple[float, int, Entrant]]


class Finish(NamedTuple):
    """A trial that was trained to its end.

    Attributes:
        at: full trainings spent by then.
        value: the final one.
        rank: of its candidate among all, 1 the best.
    """

    at: float
    value: float
    rank: int


class Replay:
    """Trains recorded candidates with so many workers, on a clock of full trainings.

    A paused trial costs nothing to continue, and the workers are never idle.

    Args:
        entrants: who takes part.
        rungs: the settings; None trains every trial to the end.
        evaluate_at: the shares at which trials are looked at.
        workers: how many train at once.
        seed: of the race.

    Attributes:
        work: full trainings that were spent.
    """

    def __init__(
        self,
        entrants: Entrants,
        rungs: SuccessiveHalving | None,
        evaluate_at: Sequence[float],
        workers: int,
        seed: int,
    ) -> None:
        self._entrants = entrants
        self._race = Race(rungs, evaluate_at, LOSS, seed) if rungs else None
        self._shares, self._workers = sorted(evaluate_at), workers
        self._begun: list[Entrant] = []
        self.work = 0.0

    def finished(self, until: float = math.inf) -> Iterator[Finish]:
        """Yield every trial that is trained to its end.

        Args:
            until: no more than so many full trainings are spent by then.
        """
        queue: _Queue = []
        for worker in range(self._workers):
            self._give(queue, 0.0, worker)
        while queue:
            now, worker, entrant = heapq.heappop(queue)
            if now * self._workers > until:
                return
            share = self._shares[entrant.place]
            entrant.place += 1
            value = entrant.candidate.curve[share]
            if share >= 1:
                self._entrants.end(entrant, TrialState.COMPLETE, value)
                yield Finish(now * self._workers, value, entrant.candidate.rank)
                self._give(queue, now, worker)
                continue
            answer = None
            if self._race:
                answer = self._race.report(self._entrants.trials(), entrant.trial, share, (value,))
            if answer == STOP:
                self._entrants.end(entrant, TrialState.PRUNED)
            if answer in (STOP, PAUSE):
                self._give(queue, now, worker)
            else:
                self._train(queue, now, worker, entrant)

    def _give(self, queue: _Queue, now: float, worker: int) -> None:
        """Give a worker its next trial, if there is one."""
        entrant = self._continued()
        if entrant is None:
            entrant = self._entrants.enter()
            if entrant is None:
                return
            self._begun.append(entrant)
        self._train(queue, now, worker, entrant)

    def _continued(self) -> Entrant | None:
        """Return the paused one that goes on, if one may; those without hope end."""
        for trial, level in self._race.promoted(self._entrants.trials()) if self._race else ():
            entrant = self._begun[trial.number]
            if self._race and self._race.hopeless(trial) is not None:
                self._entrants.end(entrant, TrialState.PRUNED)
                continue
            reports.decide(entrant.trial, trial, level, reports.CONTINUED)
            return entrant
        return None

    def _train(self, queue: _Queue, now: float, worker: int, entrant: Entrant) -> None:
        begun = self._shares[entrant.place - 1] if entrant.place else 0.0
        self.work += self._shares[entrant.place] - begun
        heapq.heappush(queue, (now + self._shares[entrant.place] - begun, worker, entrant))
