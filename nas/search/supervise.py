"""The search itself: a crew trains what a study asks for, until there are enough trials."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError

from nas.errors import InterruptedRunError, NasError
from nas.progress import say
from nas.search.crew import Crew, Died, Member, ignore
from nas.search.display import Display
from nas.search.storages.leases import LostTrialError
from nas.search.study import Study
from nas.search.worker import Ended, Identified, Order, Paused, Rung, Said, unmark
from nas.train.interrupt import StopRequest

Save = Callable[[], bool]
"""Writes what a study shows of itself, unless it was just written; returns whether it did."""


class Supervisor:
    """Brings a study to ``n_trials`` trials.

    Args:
        study: what is asked.
        crew: who trains.
        n_trials: in all, those of earlier starts included.
        retries: how often a trial is started again after its worker died, or the search with it in a row.
        display: told of progress.
        save: called while workers train, until it has written of every ended trial.
    """

    def __init__(
        self, study: Study, crew: Crew, n_trials: int, retries: int, display: Display, save: Save
    ) -> None:
        self.study = study
        self.crew = crew
        self.n_trials = n_trials
        self.retries = retries
        self.display = display
        self.save = save
        self.again: deque[Order] = deque()
        self._deaths_in_a_row = 0
        self._ended: list[int] = []
        self._unsaved = False
        self._waiting = False

    def run(self) -> None:
        """Train until every trial is over.

        Raises:
            InterruptedRunError: SIGTERM or Ctrl-C; the trials in hand are saved and continue next time.
            NasError: workers die before they can train anything.
        """
        with StopRequest() as stop:
            while self._hand_out() or self._waits():
                self._tell()  # by now every worker has its next trial
                for member, message in self.crew.messages(timeout=0.5):
                    if stop.requested and isinstance(message, Died):
                        unmark(message.order.folder)  # it was stopped as well
                    else:
                        self._answer(member, message)
                if stop.requested:
                    self._stop()
                for number in self.study.renew():
                    self._lose(number)
                running = [
                    f"{m.order.number} ({time.monotonic() - m.since:.0f} s)"
                    for m in self.crew.busy()
                    if m.order
                ]
                self.display.update(running)
        self._tell()
        self.crew.dismiss()

    def _stop(self) -> None:
        say("stopping: saving the trials in hand")
        orders = [member.order for member in self.crew.busy() if member.order is not None]
        self.crew.interrupt(self._answer)
        for order in orders:
            unmark(order.folder)  # one that was asked to end too early to save did not die of its trial
        self._tell()
        raise InterruptedRunError("everything finished is kept; run the same command to continue")

    def _hand_out(self) -> bool:
        """Give idle workers their next trial, as long as there is one; return whether any worker trains."""
        for member in self.crew.idle():
            order = self.again.popleft() if self.again else self._next()
            if order is not None:
                member.give(order)
        self._ended += self.study.take_ended()
        return bool(self.crew.busy())

    def _next(self) -> Order | None:
        """Return the next trial; one that was trained at several deaths of a supervisor in a row may fail.

        The first death is nobody's fault; each further one counts as one of a worker that trained it.
        """
        while (order := self.study.next(self.n_trials)) is not None:
            try:
                if self._may_train(order):
                    return order
            except (LostTrialError, UpdateFinishedTrialError):
                self._lose(order.number)
        return None

    def _may_train(self, order: Order) -> bool:
        """Return whether a trial did not fail by its supervisors' deaths; if it did, it has ended."""
        in_a_row = self.study.count_left(order)
        if in_a_row < 2 or self.study.count_death(order.number) <= self.retries:
            return True
        self.study.fail(order.number, f"the search died {in_a_row} times in a row while it was trained")
        self._ended.append(order.number)
        return False

    def _waits(self) -> bool:
        """Return whether there is room for no worker yet, or other supervisors still train: they may die."""
        if not self.crew.idle():
            return True
        others = self.study.elsewhere()
        if others and not self._waiting:
            say(f"nothing to ask for: waiting for {others} trial(s) of other supervisors")
        self._waiting = bool(others)
        return self._waiting

    def _answer(self, member: Member, message: Any) -> None:
        try:
            self._do(member, message)
        except (LostTrialError, UpdateFinishedTrialError):
            self._lose(message.order.number if isinstance(message, Died) else message.number)

    def _lose(self, number: int) -> None:
        """Have nobody train a trial that another supervisor has by now."""
        say(f"trial {number}: another supervisor has taken it over")
        self.study.lose(number)
        for member in self.crew.busy():
            if member.order is not None and member.order.number == number:
                self.crew.replace(member)
        self.again = deque(order for order in self.again if order.number != number)

    def _do(self, member: Member, message: Any) -> None:
        match message:
            case Identified(number, key, description):
                self._deaths_in_a_row = (
                    0  # a worker that dies later has a bad trial; one before, a bad machine
                )
                member.say(self.study.identify(number, key, description))
            case Rung(number, progress, metrics):
                member.say(self.study.report(number, progress, metrics))
            case Paused(number, seconds):
                member.order = None
                self.study.let_go(number, seconds)
                self._ended.append(number)
            case Said(line):
                say(line)
            case Ended(number, result, reason):
                self._deaths_in_a_row = 0
                member.order = None
                self._record(number, result, reason)
            case Died(order, _) if self.study.is_over(order.number):
                self._ended.append(order.number)
            case Died(order, _) if self.study.is_paused(order.number):
                self.study.let_go(order.number)  # while it saved; what it lacks is trained again
            case Died(order, cause):
                self._retry_or_fail(order, cause)

    def _record(self, number: int, result: dict[str, Any] | None, reason: str | None) -> None:
        if result is not None:
            self.study.succeed(number, result)
        elif reason is not None:
            self.study.fail(number, reason)
        elif not self.study.is_over(number):  # known, and wanted with another seed
            self.again.append(self.study.again(number))
            return
        self._ended.append(number)

    def _retry_or_fail(self, order: Order, cause: str) -> None:
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row > 3 * len(self.crew.members):
            self.crew.interrupt(ignore)
            raise NasError(f"workers keep dying ({cause}); the study is kept, nothing can be trained here")
        if self.study.count_death(order.number) <= self.retries:
            say(f"trial {order.number}: {cause}; it is started again from its checkpoint")
            self.again.append(order)
        else:
            self.study.fail(order.number, cause)
            self._ended.append(order.number)

    def _tell(self) -> None:
        """Show the trials that ended since, and have them saved."""
        if self._ended:
            self.display.ended(self.study.rows_of(self._ended), self.study.rows())
        self._unsaved = self._unsaved or bool(self._ended)
        self._ended.clear()
        if self._unsaved:
            self._unsaved = not self.save()
