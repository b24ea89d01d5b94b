"""The workers of a study: started warm, replaced when they die, stopped in order."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from nas.progress import say
from nas.search.worker import Ended, Order, work

_CONTEXT = multiprocessing.get_context("forkserver")
# torch._dynamo: the first optimizer of every process would import it, in a second
_PRELOAD = [
    "torch._dynamo",
    "nas.config.build",
    "nas.config.compose",
    "nas.train.run",
    "nas.tasks.mlm",
    "nas.tasks.mqar",
]


def warm_up() -> None:
    """Start the process that workers are forked from; it imports PyTorch once, while others work."""
    _CONTEXT.set_forkserver_preload(_PRELOAD)
    resource_tracker.ensure_running()  # here: it would undo what comes next
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited: Ctrl-C is ours to handle
    safe = os.environ.get("PYTHONSAFEPATH")
    # It imports before it knows our sys.path: a folder `nas` where the user stands must not be taken for us.
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        del os.environ["PYTHONSAFEPATH"]
        if safe is not None:
            os.environ["PYTHONSAFEPATH"] = safe


@dataclass
class Member:
    """One worker and what it is doing.

    Attributes:
        process: its process.
        connection: to it.
        order: the trial in its hands, or None.
        since: when it got the trial, on the monotonic clock.
    """

    process: BaseProcess
    connection: Connection
    order: Order | None = None
    since: float = 0.0

    def give(self, order: Order) -> None:
        """Hand it a trial."""
        self.order = order
        self.since = time.monotonic()
        self.say(order)

    def say(self, answer: Order | bool | None) -> None:
        """Send it something; one that is gone does not hear it, and `Crew.messages` will tell."""
        with contextlib.suppress(OSError):
            self.connection.send(answer)


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
    """A number of workers that share their overrides.

    Args:
        size: how many.
        base: the overrides that all trials share.
    """

    def __init__(self, size: int, base: tuple[str, ...]) -> None:
        self.base = base
        self.members = [self._hire() for _ in range(size)]

    def idle(self) -> list[Member]:
        """Return the workers that wait for a trial."""
        return [m for m in self.members if m.order is None]

    def busy(self) -> list[Member]:
        """Return the workers that train."""
        return [m for m in self.members if m.order is not None]

    def messages(self, timeout: float) -> Iterator[tuple[Member, Any]]:
        """Yield what workers said within ``timeout`` seconds; `Died` for one that is gone."""
        members = {m.connection: m for m in self.members}
        for connection in wait(list(members), timeout):
            member = members[connection]  # type: ignore[index]
            try:
                yield member, member.connection.recv()
            except (EOFError, OSError):
                died = self._bury(member)
                if died is not None:
                    yield member, died

    def interrupt(self, answer: Answer, patience: float = 60.0) -> None:
        """Ask every worker to save its trial and end; kill those that do not within ``patience``.

        Args:
            answer: told what they say meanwhile: a worker at a rung waits for its answer.
            patience: in seconds.
        """
        for member in self.members:
            if member.process.is_alive() and member.process.pid is not None:
                member.process.terminate()
        self._join(patience, answer)

    def dismiss(self, patience: float = 60.0) -> None:
        """Let every worker end after the trial in its hands."""
        for member in self.members:
            member.say(None)
        self._join(patience, ignore)

    def _join(self, patience: float, answer: Answer) -> None:
        deadline = time.monotonic() + patience
        while (alive := [m for m in self.members if m.process.is_alive()]) and time.monotonic() < deadline:
            for member in alive:
                self._hear_out(member, answer)
            wait([m.process.sentinel for m in alive], 0.05)
        for member in self.members:
            if member.process.is_alive():
                say(f"a worker did not end within {patience:g} s and was killed")
                member.process.kill()
                member.process.join()
            self._hear_out(member, answer)
            member.connection.close()

    def _hear_out(self, member: Member, answer: Answer) -> None:
        with contextlib.suppress(EOFError, OSError):  # of a worker that is gone
            while member.connection.poll():
                message = member.connection.recv()
                answer(member, message)
                if isinstance(message, Ended):
                    # Asked to stop in its last evaluation, it finished, and now waits for another trial.
                    member.say(None)

    def _hire(self) -> Member:
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=work, args=(theirs, self.base), name="nas-worker")
        process.start()
        theirs.close()
        return Member(process, ours)

    def _bury(self, member: Member) -> Died | None:
        member.process.join()
        member.connection.close()
        self.members[self.members.index(member)] = self._hire()
        return Died(member.order, _cause(member.process.exitcode)) if member.order else None


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"its worker was killed by {name}{hint}"
    return f"its worker ended with exit code {exitcode}"
