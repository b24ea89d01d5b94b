"""Two commands that take turns on the same cores, so that whatever else the machine does slows both alike."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from nas.errors import NasError

POLL = 0.25
"""Seconds between two readings of a side's processor time."""
PATIENCE = 20
"""A side that is given so many times its budget on the wall's clock waits for something: it is ended."""


class Side:
    """One command in a process group of its own, which is held while others have the cores.

    Args:
        command: what is run.
        log: file of all that it prints.
        environment: variables that are set beside ours.
        cores: how many it uses: its clock is its processor time divided by this.
        look: called several times a second while it has the cores.

    Attributes:
        wall: seconds that it had the cores.
        cpu: seconds of processor time of all its processes, divided by ``cores``.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        cores: int = 1,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self.command, self.log, self.cores, self.look = list(command), log, cores, look
        self.environment = {**os.environ, **(environment or {})}
        self.wall = self.cpu = 0.0
        self._times, self._walls, self._cpus = [time.time()], [0.0], [0.0]
        self._spent: dict[int, float] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def over(self) -> bool:
        """Whether it ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def turn(self, seconds: float) -> None:
        """Let it run for so long, or until it ends."""
        self._note(0.0)
        self._go()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.over:
            began = time.monotonic()
            time.sleep(min(POLL, left))
            self.look()
            self._note(time.monotonic() - began)
        self._signal(signal.SIGSTOP)

    def end(self) -> None:
        """Kill all of it."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def wall_at(self, moment: float) -> float:
        """Return how long it had had the cores at a time of `time.time`."""
        return self._at(moment, self._walls)

    def cpu_at(self, moment: float) -> float:
        """Return its processor time for each core at a time of `time.time`."""
        return self._at(moment, self._cpus)

    def _go(self) -> None:
        if self._process is not None:
            self._signal(signal.SIGCONT)
            return
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env=self.environment, process_group=0,
            )  # fmt: skip

    def _note(self, passed: float) -> None:
        """Read the clocks: nothing passes between two turns."""
        if self._process is not None:
            self._spent |= processor_times(self._process.pid)
        self.wall += passed
        self.cpu = sum(self._spent.values()) / self.cores
        for series, value in ((self._times, time.time()), (self._walls, self.wall), (self._cpus, self.cpu)):
            series.append(value)

    def _at(self, moment: float, series: list[float]) -> float:
        assert bisect_right(self._times, moment) > 0, "before its start"
        return float(np.interp(moment, self._times, series))

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # all of it has ended
                os.killpg(self._process.pid, number)


def take_turns(sides: Mapping[str, Side], seconds: float, turn: float) -> None:
    """Run all sides, a turn each after another, until each has had its budget or ended by itself.

    Args:
        sides: by name.
        seconds: the budget of each, of processor time for each of its cores.
        turn: seconds of one turn.

    Raises:
        NasError: a side ended with an error.
    """
    try:
        while left := [s for s in sides.values() if _goes_on(s, seconds)]:
            for side in left:
                side.turn(turn)
    finally:
        for side in sides.values():
            side.end()
    for name, side in sides.items():
        if side.over and side._process is not None and side._process.returncode > 0:
            last = side.log.read_text(errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
            raise NasError(f"{name} ended with exit code {side._process.returncode}: {last[0]}")


def _goes_on(side: Side, seconds: float) -> bool:
    return not side.over and side.cpu < seconds and side.wall < PATIENCE * seconds


def processor_times(group: int) -> dict[int, float]:
    """Return the processor seconds of every process of a group, by its id; Linux alone tells them."""
    found = {}
    tick = os.sysconf("SC_CLK_TCK")
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):  # it has ended meanwhile
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                found[int(entry.name)] = (int(fields[11]) + int(fields[12])) / tick
    return found
