"""The workers of a study: started warm, replaced when they die, stopped in order."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from nas.search.worker import Order, work

_CONTEXT = multiprocessing.get_context("forkserver")
_PRELOAD = ["nas.config.build", "nas.config.compose", "nas.train.run", "nas.tasks.mlm", "nas.tasks.mqar"]


def warm_up() -> None:
    """Start the process that workers are forked from; it imports PyTorch once, while others work."""
    _CONTEXT.set_forkserver_preload(_PRELOAD)
    forkserver.ensure_running()


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
        self.connection.send(order)


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

    def interrupt(self, patience: float = 20.0) -> None:
        """Ask every worker to save its trial and end; kill those that do not within ``patience``."""
        for member in self.members:
            if member.process.is_alive() and member.process.pid is not None:
                member.process.terminate()
        self._join(patience)

    def dismiss(self, patience: float = 20.0) -> None:
        """Let every worker end after the trial in its hands."""
        for member in self.members:
            try:
                member.connection.send(None)
            except OSError:
                continue
        self._join(patience)

    def _join(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        for member in self.members:
            while member.process.is_alive() and time.monotonic() < deadline:
                self._drain(member)
                member.process.join(0.05)
            if member.process.is_alive():
                member.process.kill()
                member.process.join()
            member.connection.close()

    def _drain(self, member: Member) -> None:
        """Read what nobody needs any more: a full pipe would keep the worker from ending."""
        try:
            while member.connection.poll():
                member.connection.recv()
        except (EOFError, OSError):
            return

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
