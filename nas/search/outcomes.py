"""What workers tell of trials that they train, recorded: evaluations at rungs and results."""

from __future__ import annotations

from typing import Any

from optuna.trial import TrialState

from nas.search.census import Census
from nas.search.hands import Hands
from nas.search.objectives import Objectives, unmeasured, values_of
from nas.search.orders import COSTS
from nas.search.rungs import reports
from nas.search.rungs.halving import percent
from nas.search.rungs.race import Race
from nas.train.rung import GO_ON, PAUSE, Answer


class Outcomes:
    """Records what becomes of the trials in hand.

    Args:
        objectives: of the study.
        race: decides at rungs; None: every trial goes on.
        census: counts the trials.
        hands: the trials in hand.
    """

    def __init__(self, objectives: Objectives, race: Race | None, census: Census, hands: Hands) -> None:
        self._objectives, self._race = objectives, race
        self._census, self._hands = census, hands

    def report(self, number: int, progress: float, metrics: dict[str, float]) -> Answer:
        """Record an evaluation; return whether the trial goes on, is paused or ends here."""
        trial, objectives = self._hands[number], self._objectives
        costs = self._costs(number)
        values = None if unmeasured(objectives, metrics, costs) else values_of(objectives, metrics, costs)
        if values is None:  # of a member of a suite whose turn has not come: nothing to compare yet
            return GO_ON
        if self._race is None:
            reports.record(trial, self._census.every()[number], percent(progress), values)
            return GO_ON
        with self._hands.together():
            self._hands.keep(number)
            answer = self._race.report(self._census.every(), trial, progress, values)
        if answer == PAUSE:
            self._hands.pause(number)
        return answer

    def succeed(self, number: int, result: dict[str, Any]) -> None:
        """Record a run's result: completed, pruned or diverged."""
        facts = {"seconds": result["seconds"], "reason": result["reason"]}
        state = {"done": TrialState.COMPLETE, "pruned": TrialState.PRUNED}.get(
            result["status"], TrialState.FAIL
        )
        values = None
        if state == TrialState.COMPLETE:
            told = self._objectives, result["metrics"], self._costs(number)
            missing = unmeasured(*told)
            values = None if missing else values_of(*told)
            if missing:  # of a member of a suite that diverged
                state, facts["reason"] = TrialState.FAIL, result["reason"] or missing
        self._hands.note(number, **facts)
        self._hands.end(number, state, values)

    def _costs(self, number: int) -> dict[str, float]:
        costs: dict[str, float] = self._hands[number].user_attrs.get(COSTS, {})
        return costs
