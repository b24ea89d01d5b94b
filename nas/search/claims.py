"""Which trials of a study this supervisor may take in hand, beside those of others and of the user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.errors import NasError
from nas.search.changes import Changes
from nas.search.hands import Hands, end_failed
from nas.search.leaderboard import REFUSED, has_failed
from nas.search.storages.leases import Leases, LostTrialError
from nas.search.takeover import bring
from nas.search.worker import Order

ATTEMPTS = 5


class Claims:
    """Finds the trials that nobody has in hand, and takes them.

    A trial that runs is in this supervisor's hands, in another one's, paused, or free. One that somebody
    asked for with Optuna alone is foreign: it is theirs to end, is not waited for, and counts only once
    it has ended.

    Args:
        study: Optuna's.
        leases: say whose a trial is.
        hands: the trials in hand.
    """

    def __init__(self, study: optuna.Study, leases: Leases, hands: Hands) -> None:
        self._study, self._leases, self._hands = study, leases, hands
        self._changes = Changes()
        self._taken: dict[int, Path | None] = {}

    def in_turn(self, ask: Callable[[], Order | None]) -> Order | None:
        """Return what ``ask`` takes in this supervisor's turn, with the files of who had it before.

        Raises:
            NasError: the turn was over each time before it ended.
        """
        for _ in range(ATTEMPTS):
            self._taken = {}
            try:
                with self._leases.turn():
                    order = ask()
            except (LostTrialError, UpdateFinishedTrialError) as error:  # or a user has ended a trial
                for number in self._taken:
                    self._hands.lose(number)
                lost = error
            else:
                if order is not None:
                    bring(self._taken[order.number], order.folder)
                return order
        raise NasError(f"{lost}, {ATTEMPTS} times in a row: is storage.lease_seconds too short?") from lost

    def take(self, trial: Trial, order: Order) -> None:
        """Take a trial in hand; see `Hands.take`."""
        self._taken[trial.number] = self._hands.take(trial, order)

    def free(self) -> Iterator[Trial]:
        """Yield the trials that nobody has in hand, and those that wait in Optuna's queue.

        One that was noted as failed before a kill, or a full disk, ends as such: it is not trained again.
        """
        for frozen in self._running():
            if not self._leases.is_free(frozen):
                continue
            trial = Trial(self._study, frozen._trial_id)
            if has_failed(frozen):
                end_failed(self._study, trial)
            else:
                yield trial
        for _ in range(sum(t.state is TrialState.WAITING for t in self._look())):
            trial = self._study.ask()
            self._leases.mark(trial)
            yield trial

    def refuse_surplus(self, surplus: int) -> None:
        """Refuse trials too many: a supervisor that was stopped while it asked leaves one when it goes on."""
        if surplus <= 0:
            return
        for frozen in self._running():
            if surplus > 0 and self._leases.is_free(frozen) and not self._leases.was_taken(frozen):
                trial = Trial(self._study, frozen._trial_id)
                trial.set_user_attr(REFUSED, "asked for after the last one")
                self._study.tell(trial, state=TrialState.PRUNED)
                surplus -= 1

    def foreign(self) -> int:
        """Return how many trials run that were asked for with Optuna alone."""
        if not self._leases.shared:
            return 0
        return sum(t.state is TrialState.RUNNING and self._leases.is_foreign(t) for t in self._look())

    def elsewhere(self) -> int:
        """Return how many trials run in other supervisors' hands."""
        return len(self._running())

    def only_paused(self) -> list[FrozenTrial]:
        """Return the paused trials, if no other runs in anybody's hands."""
        running = [t for t in self._look() if t.state is TrialState.RUNNING]
        own = any(not self._leases.is_foreign(t) for t in running)
        return [] if own else [trial for trial, _ in self._changes.paused.values()]

    def is_free(self, trial: FrozenTrial) -> bool:
        """Return whether a paused trial is in nobody's hands: a worker may still save one."""
        return trial.number not in self._hands and self._leases.is_free(trial)

    def _running(self) -> list[FrozenTrial]:
        return [
            t
            for t in self._look()
            if t.state is TrialState.RUNNING
            and t.number not in self._hands
            and not self._leases.is_foreign(t)
        ]

    def _look(self) -> list[FrozenTrial]:
        """Return the trials that have neither ended nor are paused."""
        self._changes.take(self._study.get_trials(deepcopy=False))
        return list(self._changes.going.values())
