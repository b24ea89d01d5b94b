"""The workers of a study: started where there is room, replaced when they die or hang, stopped in order."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from nas.errors import NasError
from nas.progress import say
from nas.search.launchers.base import Launcher, Worker
from nas.search.launchers.local import Local
from nas.search.worker import Alive, Broken, Ended, Order, Paused

if TYPE_CHECKING:
    from nas.config.compose import Composed

MOST_VAIN = 3
"""So many workers may end before they begin, for each of the crew."""
STARTING = 10
"""A worker that has given no sign of life yet is waited for so many times as long: imports take time."""
_END_SECONDS = 5.0
"""A killed process is waited for so long; one that hangs in the kernel is left to it."""


@dataclass
class Member:
    """One worker and what it is doing.

    Attributes:
        worker: its process.
        order: the trial in its hands, or None.
        since: when it got the trial, on the monotonic clock.
        heard: when it last gave a sign of life, or was told something.
        began: whether it ever gave one.
        cause: why it ends, if it said so.
    """

    worker: Worker
    order: Order | None = None
    since: float = 0.0
    heard: float = field(default_factory=time.monotonic)
    began: bool = False
    cause: str | None = None

    def give(self, order: Order) -> None:
        """Hand it a trial."""
        self.order = order
        self.since = time.monotonic()
        self.say(order)

    def say(self, answer: Any) -> None:
        """Send it something; one that is gone does not hear it, and `Crew.messages` will tell."""
        self.heard = time.monotonic()
        if self.worker.connection is not None:
            with contextlib.suppress(OSError):
                self.worker.connection.send(answer)

    def is_silent(self, seconds: float) -> bool:
        """Return whether it trains, and has given no sign for so long; one to be read is a sign.

        Before its first sign it imports: it has `STARTING` times as long.
        """
        patience = seconds if self.began else STARTING * seconds
        if self.order is None or time.monotonic() - self.heard < patience:
            return False
        connection = self.worker.connection
        with contextlib.suppress(OSError):
            return connection is not None and not connection.poll()
        return False


Answer = Callable[[Member, Any], None]
"""Does what a worker's message asks for."""


def ignore(member: Member, message: Any) -> None:
    """Answer nothing."""


@dataclass(frozen=True)
class Died:
    """A worker ended without being asked to."""

    order: Order
    cause: str


class Crew:
    """A number of workers that share a configuration.

    Args:
        size: how many.
        base: the configuration that all trials share.
        launcher: starts them; None: on this machine.
        hang_seconds: one that trains, but takes no step and evaluates no batch for so long, is killed;
            this counts from its first sign of life.
    """

    def __init__(
        self,
        size: int,
        base: Composed,
        launcher: Launcher | None = None,
        hang_seconds: float = math.inf,
    ) -> None:
        self.base = base
        self.launcher = Local() if launcher is None else launcher
        self.hang_seconds = hang_seconds
        self._never_began = 0
        self.members = [self._hire() for _ in range(size)]

    def idle(self) -> list[Member]:
        """Return the workers that wait for a trial."""
        return [m for m in self.members if m.order is None and m.worker.connection is not None]

    def busy(self) -> list[Member]:
        """Return the workers that train."""
        return [m for m in self.members if m.order is not None]

    def messages(self, timeout: float) -> Iterator[tuple[Member, Any]]:
        """Yield what workers said within ``timeout`` seconds; `Died` for one that is gone or hangs."""
        members = {m.worker.connection: m for m in self.members if m.worker.connection is not None}
        for connection in wait(list(members), timeout):
            member = members[connection]  # type: ignore[index]
            try:
                message = connection.recv()  # type: ignore[union-attr,call-arg]
            except (EOFError, OSError):
                yield from self._bury(member)
            else:
                member.heard, member.began = time.monotonic(), True
                yield from self._heard(member, message)
        yield from self._end_the_silent()

    def replace(self, member: Member) -> None:
        """Kill a worker and have another one start."""
        member.worker.kill()
        member.order = None
        for _ in self._bury(member):
            pass  # it has no trial

    def interrupt(self, answer: Answer, patience: float = 60.0) -> None:
        """Ask every worker to save its trial and end; kill those that do not within ``patience``.

        Args:
            answer: told what they say meanwhile: a worker at a rung waits for its answer.
            patience: in seconds.
        """
        for member in self.members:
            member.worker.terminate()
        self._join(patience, answer)

    def dismiss(self, patience: float = 60.0) -> None:
        """Let every worker end after the trial in its hands."""
        for member in self.members:
            if member.worker.connection is None:
                member.worker.kill()  # it has not begun
            member.say(None)
        self._join(patience, ignore)

    def _join(self, patience: float, answer: Answer) -> None:
        deadline = time.monotonic() + patience
        while (alive := [m for m in self.members if m.worker.is_alive()]) and time.monotonic() < deadline:
            for member in alive:
                self._hear_out(member, answer)
            time.sleep(0.02)
        for member in self.members:
            if member.worker.is_alive():
                say(f"a worker did not end within {patience:g} s and was killed")
                member.worker.kill()
                member.worker.join(_END_SECONDS)
            self._hear_out(member, answer)
            _close(member.worker.connection)

    def _hear_out(self, member: Member, answer: Answer) -> None:
        connection = member.worker.connection
        if connection is None:
            return
        with contextlib.suppress(EOFError, OSError):  # of a worker that is gone
            while connection.poll():
                for _, message in self._heard(member, connection.recv()):
                    answer(member, message)
                    if isinstance(message, Ended | Paused):
                        # Asked to stop in an evaluation, it ended the trial, and now waits for another.
                        member.say(None)

    def _heard(self, member: Member, message: Any) -> Iterator[tuple[Member, Any]]:
        match message:
            case Alive():
                pass
            case Broken(_, cause):
                member.cause = cause
            case _:
                yield member, message

    def _end_the_silent(self) -> Iterator[tuple[Member, Any]]:
        for member in list(self.members):
            if member.worker.connection is None and not member.worker.is_alive():
                self._never_began += 1
                if self._never_began > MOST_VAIN * len(self.members):
                    raise NasError(f"workers end before they begin: the last one {member.worker.cause()}")
                yield from self._bury(member)
            elif member.is_silent(self.hang_seconds):
                waited = self.hang_seconds if member.began else STARTING * self.hang_seconds
                member.cause = f"took no step and evaluated nothing for {waited:g} s"
                member.worker.kill()
                yield from self._bury(member)

    def _hire(self) -> Member:
        return Member(self.launcher.start(self.base))

    def _bury(self, member: Member) -> Iterator[tuple[Member, Died]]:
        member.worker.join(_END_SECONDS)
        _close(member.worker.connection)
        self.members[self.members.index(member)] = self._hire()
        if member.order is not None:
            yield member, Died(member.order, f"its worker {member.cause or member.worker.cause()}")


def _close(connection: Connection | None) -> None:
    if connection is not None:
        connection.close()
