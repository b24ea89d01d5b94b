"""Workers on this machine, forked from a process that has imported PyTorch once."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from nas.search.launchers.base import Launcher, Worker
from nas.search.worker import work

if TYPE_CHECKING:
    from nas.config.compose import Composed

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
    # Inherited: both are ours to handle, also where every process gets them, as a terminal and SLURM do.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
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


class Local(Launcher):
    """One process per core of this machine, or per share of its GPU."""

    def start(self, base: Composed) -> Worker:
        """Start a process; see `Launcher.start`."""
        warm_up()  # which does nothing the second time
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=work, args=(theirs, base), name="nas-worker")
        process.start()
        theirs.close()
        return LocalWorker(process, ours)


class LocalWorker(Worker):
    """A child process.

    Args:
        process: it.
        connection: to it.
    """

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self.process = process
        self._connection = connection

    @property
    def connection(self) -> Connection:
        """To the process."""
        return self._connection

    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self.process.is_alive()

    def terminate(self) -> None:
        """Send SIGTERM."""
        if self.process.is_alive():
            self.process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()

    def join(self, seconds: float) -> None:
        """Wait for the end; one that hangs in the kernel is left to it."""
        self.process.join(seconds)

    def cause(self) -> str:
        """Return what the exit code means."""
        code = self.process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return f"was killed by {name}{hint}"
        return f"ended with exit code {code}"
