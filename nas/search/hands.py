"""The trials in workers' hands: what is known of them by now, and how each of them ends."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.search.census import KEY
from nas.search.leaderboard import FAILED, RESULT, has_failed
from nas.search.purposes import in_words
from nas.search.replicates import Values
from nas.search.rungs import reports
from nas.search.storages.leases import Leases
from nas.search.worker import Order


class Hands:
    """Keeps what workers have told of the trials that they train, until these end.

    Args:
        study: Optuna's.
        leases: say which trials are this supervisor's to train and to end.
    """

    def __init__(self, study: optuna.Study, leases: Leases) -> None:
        self._study, self._leases = study, leases
        self._trials: dict[int, Trial] = {}
        self._facts: dict[int, dict[str, Any]] = {}
        self.keys: dict[str, int] = {}
        for trial in study.get_trials(deepcopy=False):
            ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and not has_failed(trial)
            if ended or reports.is_paused(trial):
                self._note_key(trial.user_attrs.get(KEY), trial.number)

    def __contains__(self, number: int) -> bool:
        return number in self._trials

    def __getitem__(self, number: int) -> Trial:
        return self._trials[number]

    def numbers(self) -> set[int]:
        """Return which trials are in workers' hands."""
        return set(self._trials)

    def take(self, trial: Trial, order: Order) -> Path | None:
        """Note that a worker gets a trial, and return the run folder of who had it before.

        Raises:
            LostTrialError: another supervisor has it.
        """
        known = trial.number in self._trials  # and it is to be trained in another way
        before = None if known else self._leases.take(trial.number, order.folder)
        self._trials[trial.number] = trial
        self._facts[trial.number] = {"overrides": list(order.overrides), "own": len(order.values)}
        return before

    def lose(self, number: int) -> None:
        """Forget a trial that another supervisor has by now."""
        self._trials.pop(number, None)
        self._facts.pop(number, None)

    def note(self, number: int, **facts: Any) -> None:
        """Note what has become known of a trial."""
        self._facts[number].update(facts)

    def keep(self, number: int) -> None:
        """Store what is known of a trial: another start may have to end it."""
        trial, facts = self._trials[number], dict(self._facts[number])
        for name, value in ((KEY, facts.pop(KEY, None)), (RESULT, facts)):
            if value is not None and trial.user_attrs.get(name) != value:  # each write takes milliseconds
                trial.set_user_attr(name, value)

    def together(self) -> AbstractContextManager[None]:
        """Have what is told of a trial within the block written at once; see `Leases.together`."""
        return self._leases.together()

    def pause(self, number: int) -> None:
        """Note that a trial is paused: an equal one shall not be trained beside it."""
        self._note_key(self._facts[number].get(KEY), number)

    def let_go(self, number: int) -> None:
        """Store what is known of a trial that no worker has any more, though it has not ended."""
        self.keep(number)
        self.lose(number)
        self._leases.let_go(number)

    def end(self, number: int, state: TrialState, values: Values | None) -> None:
        """End a trial, with a value for each objective if it was completed.

        Raises:
            LostTrialError: another supervisor has it.
        """
        self._leases.confirm(number)
        trial, facts = self._trials[number], self._facts[number]
        facts["reason"] = self._reason(trial, state, facts.get("reason"))
        # Attributes first: a kill between the two leaves a trial that is run again, not a bare row.
        self.keep(number)
        self.lose(number)
        if state is TrialState.FAIL:
            trial.set_user_attr(FAILED, True)
            end_failed(self._study, trial)
        else:
            self._study.tell(trial, values, state=state)
        self._leases.end(number)
        if state in (TrialState.COMPLETE, TrialState.PRUNED):
            self._note_key(facts.get(KEY), number)

    def end_paused(self, paused: FrozenTrial, reason: str) -> None:
        """End a paused trial, which no worker has."""
        trial = Trial(self._study, paused._trial_id)
        told = "; ".join(filter(None, (reports.in_words(paused), reason)))
        trial.set_user_attr(RESULT, {**paused.user_attrs.get(RESULT, {}), "reason": told})
        self._study.tell(trial, state=TrialState.PRUNED)
        self._leases.end(trial.number)

    def _reason(self, trial: Trial, state: TrialState, reason: str | None) -> str | None:
        frozen = self._study.get_trials(deepcopy=False)[trial.number]
        purposes = in_words(frozen.user_attrs, self._facts[trial.number])
        at_rungs = reports.in_words(frozen)
        if at_rungs and state is TrialState.PRUNED:  # which says more than the worker knows
            reason = None
        told = (*purposes, reason, at_rungs)
        return "; ".join(filter(None, told)) or None

    def _note_key(self, key: str | None, number: int) -> None:
        if key is not None:
            self.keys.setdefault(key, number)


def end_failed(study: optuna.Study, trial: Trial) -> None:
    """End a trial that is noted as failed: as worse than all that were completed, for every sampler."""
    if FAILED not in trial.constraints:
        trial.set_constraint(FAILED, 1.0)
    study.tell(trial, state=TrialState.PRUNED)
