"""The paused trials of a study: which one goes on next, and which are without hope.

A trial that is paused at the end of a search stays so, in Optuna's storage as one that runs: a larger
``n_trials`` brings more trials to its rung, and it is continued once it belongs to the better part of them.
Where the space holds no more than was asked for, and fewer than ``n_trials``, all that are paused go on.
"""

from __future__ import annotations

from collections.abc import Iterator

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.search.census import Census
from nas.search.claims import Claims
from nas.search.gate import Gate
from nas.search.hands import Hands
from nas.search.rungs import reports
from nas.search.rungs.race import Race
from nas.search.whole import Whole

Found = tuple[FrozenTrial, int]
"""A paused trial, and its rung."""


class Pausing:
    """Finds the paused trial to continue, and ends those that have no hope any more.

    Args:
        study: Optuna's.
        race: decides at rungs; None: no trial is paused.
        gate: tells which configurations there are.
        census: counts the trials.
        hands: the trials in hand.
        claims: find what nobody has in hand.
    """

    def __init__(
        self,
        study: optuna.Study,
        race: Race | None,
        gate: Gate,
        census: Census,
        hands: Hands,
        claims: Claims,
    ) -> None:
        self._study, self._race, self._census = study, race, census
        self._hands, self._claims = hands, claims
        self._whole = Whole(gate.space, gate.allows)
        self._ended: list[int] = []

    def promoted(self, n_trials: int) -> Found | None:
        """Return one that may go on; those that may but have no hope any more end."""
        for trial, level in self._promoted(n_trials):
            assert self._race is not None
            hopeless = self._race.hopeless(trial)
            if hopeless is None:
                return trial, level
            self._end(trial, hopeless)
        return None

    def goes_on(self, n_trials: int) -> bool:
        """Return whether there is one to continue, or to end, with the trials that there are."""
        return next(self._promoted(n_trials), None) is not None or self.last_hope() is not None

    def last_hope(self) -> Found | None:
        """Return the best one where all are paused and none has come to its end.

        Then nothing else is left to train: a study shall have a winner, however few its trials are.
        """
        paused = self._claims.only_paused()
        if self._race is None or not paused or any(trial.number in self._hands for trial in paused):
            return None
        trials = self._census.every()
        if any(trial.state is TrialState.COMPLETE for trial in trials):
            return None
        return next(self._race.resting(trials), None)

    def go_on(self, found: Found) -> Trial:
        """Note that a trial is continued, and return it."""
        frozen, level = found
        trial = Trial(self._study, frozen._trial_id)
        reports.decide(trial, frozen, level, reports.CONTINUED)
        return trial

    def remarks(self) -> list[str]:
        """Return a sentence if trials stay paused, for the end of a search."""
        paused = sum(map(reports.is_paused, self._census.unended()))
        told = f"{paused} trial(s) stay paused at their rungs: a larger n_trials continues those that then "
        return [f"{told}belong to the better part."] if paused else []

    def take_ended(self) -> list[int]:
        """Return those that ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def _promoted(self, n_trials: int) -> Iterator[Found]:
        """Yield those that may go on, and then, where nothing new is left to ask for, all others."""
        if self._race is None:
            return
        trials = self._census.every()
        is_free = self._claims.is_free
        yield from (found for found in self._race.promoted(trials) if is_free(found[0]))
        if self._whole.is_small(n_trials):
            resting = [found for found in self._race.resting(trials) if is_free(found[0])]
            if resting and self._whole.is_tried(self._study, n_trials):
                yield from resting

    def _end(self, trial: FrozenTrial, reason: str) -> None:
        self._hands.end_paused(trial, reason)
        self._ended.append(trial.number)
