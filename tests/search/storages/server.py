"""A real PostgreSQL server of the tests' own, which they may kill and start again."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

USER = "postgres"
PORTS = range(20_000, 32_000)
"""Below those that systems give to clients."""
OTHERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)  # where Debian keeps them

_ENDED = """SELECT count(*) FROM trials JOIN studies USING (study_id)
    WHERE study_name = %s AND state IN ('COMPLETE', 'PRUNED', 'FAIL')"""

_WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def program(name: str) -> str | None:
    """Return the path of one of PostgreSQL's programs, or None."""
    found = [str(folder / name) for folder in OTHERS if (folder / name).is_file()]
    return shutil.which(name) or (found[0] if found else None)


class Server:
    """A server in a folder, listening on a local port."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.log = folder / "log"
        self.port = _free_port()
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(folder, USER)
        self._run("initdb", "-D", str(self.data), "-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8")

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def ended(self, study: str) -> int:
        """Return how many trials of a study have ended; unlike a storage that is opened, it costs nothing."""
        import psycopg

        with psycopg.connect(self.url) as connection:
            try:
                [(count,)] = connection.execute(_ENDED, [study])
            except psycopg.errors.UndefinedTable:
                return 0  # no study has begun
        return int(count)

    @contextlib.contextmanager
    def turn_of(self, study: str) -> Iterator[Callable[[], int]]:
        """Hold the turn of a study; the block gets a function that says how many supervisors wait for it."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as held:
            held.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"nas/{study}"])

            def waiting() -> int:
                [(count,)] = held.execute(_WAITING)
                return int(count)

            yield waiting

    def start(self) -> Server:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self._run("pg_ctl", "-D", str(self.data), "-l", str(self.log), "-o", options, "-w", "start")
        return self

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")

    def kill(self) -> None:
        """Kill the server as a power cut would: it recovers at the next start."""
        pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
        for number in (pid, *map(int, children.stdout.split())):
            os.kill(number, signal.SIGKILL)
        time.sleep(0.2)
        # where nobody reaps it, the dead process still has its number, and the next start would refuse
        (self.data / "postmaster.pid").unlink()

    def _run(self, name: str, *arguments: str) -> None:
        path = program(name)
        assert path is not None
        who = ["runuser", "-u", USER, "--"] if os.getuid() == 0 else []
        done = subprocess.run(
            [*who, path, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, cwd="/"
        )
        assert done.returncode == 0, (name, done.stderr.decode(), self.log.exists() and self.log.read_text())


def _free_port() -> int:
    """Return a port that no client is given: one that looks for a dead server could take the server's own."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no port of {PORTS} is free")
