"""The search itself: a crew trains what a study asks for, until there are enough trials."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from nas.errors import InterruptedRunError, NasError
from nas.progress import say
from nas.search.crew import Crew, Died, Member, ignore
from nas.search.display import Display
from nas.search.study import Study
from nas.search.worker import Ended, Identified, Order, Rung, Said
from nas.train.interrupt import StopRequest

Saved = Callable[[], None]


class Supervisor:
    """Brings a study to ``n_trials`` trials.

    Args:
        study: what is asked.
        crew: who trains.
        n_trials: in all, those of earlier starts included.
        retries: how often a trial is started again after its worker died.
        display: told of progress.
        saved: called after every ended trial.
    """

    def __init__(
        self, study: Study, crew: Crew, n_trials: int, retries: int, display: Display, saved: Saved
    ) -> None:
        self.study = study
        self.crew = crew
        self.n_trials = n_trials
        self.retries = retries
        self.display = display
        self.saved = saved
        self.again: deque[Order] = deque(study.abandoned())
        self._deaths_in_a_row = 0

    def run(self) -> None:
        """Train until every trial is over.

        Raises:
            InterruptedRunError: SIGTERM or Ctrl-C; the trials in hand are saved and continue next time.
            NasError: workers die before they can train anything.
        """
        with StopRequest() as stop:
            while self._hand_out() or self.crew.busy():
                if stop.requested:
                    say("stopping: saving the trials in hand")
                    self.crew.interrupt(self._answer)
                    raise InterruptedRunError("everything finished is kept; run the same command to continue")
                for member, message in self.crew.messages(timeout=0.5):
                    self._answer(member, message)
                running = [
                    f"{m.order.number} ({time.monotonic() - m.since:.0f} s)"
                    for m in self.crew.busy()
                    if m.order
                ]
                self.display.update(running)
        self.crew.dismiss()

    def _hand_out(self) -> bool:
        """Give idle workers their next trial; return whether any is left."""
        for member in self.crew.idle():
            if self.again:
                member.give(self.again.popleft())
            elif self.study.asked() < self.n_trials:
                member.give(self.study.ask())
        return bool(self.again) or self.study.asked() < self.n_trials

    def _answer(self, member: Member, message: Any) -> None:
        match message:
            case Identified(number, key, description):
                self._deaths_in_a_row = (
                    0  # a worker that dies later has a bad trial; one before, a bad machine
                )
                member.say(self.study.identify(number, key, description))
            case Rung(number, progress, metrics):
                member.say(self.study.report(number, progress, metrics))
            case Said(line):
                say(line)
            case Ended(number, result, reason):
                self._deaths_in_a_row = 0
                member.order = None
                self._record(number, result, reason)
            case Died(order, _) if self.study.is_over(order.number):
                self._ended(order.number)
            case Died(order, cause):
                self._retry_or_fail(order, cause)

    def _record(self, number: int, result: dict[str, Any] | None, reason: str | None) -> None:
        if result is not None:
            self.study.succeed(number, result)
        elif reason is not None:
            self.study.fail(number, reason)
        self._ended(number)

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
            self._ended(order.number)

    def _ended(self, number: int) -> None:
        rows = self.study.rows()
        self.display.ended(next(r for r in rows if r["number"] == number), rows)
        self.saved()
