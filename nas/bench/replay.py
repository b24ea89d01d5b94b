"""Learning curves that were recorded once, raced again under any settings of the rungs."""

from __future__ import annotations

import copy
import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import TrialState

from nas.search.census import KEY
from nas.search.objectives import Objective
from nas.search.rungs import reports
from nas.search.rungs.halving import SuccessiveHalving
from nas.search.rungs.race import Race
from nas.train.rung import PAUSE, STOP

LOSS = (Objective("val/loss", "minimize"),)


@dataclass
class _Racer:
    """A trial that replays a curve: what `Race` reads and writes of Optuna's trial, in memory.

    As in Optuna's storages, one that has changed is another object in ``trials``.
    """

    number: int
    curve: dict[float, float]
    trials: list[_Racer] = field(repr=False, compare=False)
    state: TrialState = TrialState.RUNNING
    user_attrs: dict[str, Any] = field(default_factory=dict)
    intermediate_values: dict[int, float] = field(default_factory=dict)
    values: list[float] | None = None
    place: int = 0

    def report(self, value: float, step: int) -> None:
        self.intermediate_values[step] = value
        self._change()

    def set_user_attr(self, key: str, value: Any) -> None:
        self.user_attrs[key] = value
        self._change()

    def end(self, state: TrialState, value: float | None = None) -> None:
        self.state, self.values = state, None if value is None else [value]
        self.user_attrs[KEY] = str(self.number)
        self._change()

    def _change(self) -> None:
        self.trials[self.number] = copy.copy(self)


class Replay:
    """Trains the recorded candidates in a random order with so many workers, on a clock of full trainings.

    A paused trial costs nothing to continue, and the workers are never idle.

    Args:
        curves: share of the budget to value, of every candidate; the last share is 1.
        rungs: the settings; None trains every trial to the end.
        evaluate_at: the shares at which trials are looked at.
        workers: how many train at once.
        seed: of the order.

    Attributes:
        work: full trainings that were spent.
    """

    def __init__(
        self,
        curves: Sequence[dict[float, float]],
        rungs: SuccessiveHalving | None,
        evaluate_at: Sequence[float],
        workers: int,
        seed: int,
    ) -> None:
        stream = random.Random(seed)
        self._waiting = stream.sample(list(curves), len(curves))
        self._race: Any = Race(rungs, evaluate_at, LOSS, seed) if rungs else None
        self._shares, self._workers = sorted(evaluate_at), workers
        self._trials: list[_Racer] = []
        self.work = 0.0

    def finished(self) -> Iterator[tuple[float, float]]:
        """Yield (full trainings spent by then, final value) of every trial that is trained to its end."""
        queue: list[tuple[float, int, _Racer]] = []
        for worker in range(self._workers):
            self._give(queue, 0.0, worker)
        while queue:
            now, worker, trial = heapq.heappop(queue)
            share = self._shares[trial.place]
            trial.place += 1
            value = trial.curve[share]
            if share >= 1:
                trial.end(TrialState.COMPLETE, value)
                yield now * self._workers, value
                self._give(queue, now, worker)
                continue
            answer = self._race.report(self._trials, trial, share, (value,)) if self._race else None
            if answer == STOP:
                trial.end(TrialState.PRUNED)
            if answer in (STOP, PAUSE):
                self._give(queue, now, worker)
            else:
                self._train(queue, now, worker, trial)

    def _give(self, queue: list[tuple[float, int, _Racer]], now: float, worker: int) -> None:
        """Give a worker its next trial, if there is one."""
        for trial, level in self._race.promoted(self._trials) if self._race else ():
            if self._race.hopeless(trial) is not None:
                trial.end(TrialState.PRUNED)
                continue
            reports.decide(trial, trial, level, reports.CONTINUED)
            return self._train(queue, now, worker, trial)
        if self._waiting:
            trial = _Racer(len(self._trials), self._waiting.pop(), self._trials)
            self._trials.append(trial)
            self._train(queue, now, worker, trial)
        return None

    def _train(self, queue: list[tuple[float, int, _Racer]], now: float, worker: int, trial: _Racer) -> None:
        begun = self._shares[trial.place - 1] if trial.place else 0.0
        self.work += self._shares[trial.place] - begun
        heapq.heappush(queue, (now + self._shares[trial.place] - begun, worker, trial))
