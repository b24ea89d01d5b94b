"""Random kills of workers, supervisor and server during a study: everything is there at the end, once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from nas.search.storages.postgres import Postgres

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
TRIALS, KILLS, STEPS = (60, 20, 200) if os.environ.get("NAS_TORTURE") == "full" else (10, 5, 100)
"""In full with NAS_TORTURE=full: minutes."""
SEED = int(os.environ.get("NAS_TORTURE_SEED", "0"))
SETTINGS = ("sampler=grid", "rungs=null", f"n_trials={TRIALS}", "encoder.hidden_cls=[attn,conv]", "workers=2",
            f"trainer.steps={STEPS}", "retries=100")  # fmt: skip


class Victims:
    """A search in a process of its own, and the server that keeps it."""

    def __init__(self, lab: Any, server: Any, sweep: str) -> None:
        self.server, self.log = server, lab.folder / "torture.log"
        self.command = [
            sys.executable, "-c", "from nas.cli.search import main; main()", *lab.overrides(), *SETTINGS,
            sweep, "study=torture", "trainer.checkpoint_seconds=0.05",
            "storage=postgres", f"storage.url={server.url}",
        ]  # fmt: skip
        self.supervisor = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=log)

    def kill(self, whom: str, rng: random.Random) -> None:
        if whom == "worker":
            while not (workers := self.workers()):  # the supervisor has just been started anew
                assert self.supervisor.poll() is None, self.log.read_text()
                time.sleep(0.05)
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(workers), signal.SIGKILL)
        elif whom == "supervisor":
            self.supervisor.kill()
            self.supervisor.wait()
            self.supervisor = self.start()
        else:
            self.server.kill()
            time.sleep(rng.random())
            self.server.start()

    def workers(self) -> list[int]:
        """Return the processes that train: forked by the search's fork server."""
        return [worker for child in children(self.supervisor.pid) for worker in children(child)]


def children(pid: int) -> list[int]:
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except (FileNotFoundError, ProcessLookupError):
        return []


def trials(server: Any, folder: Path) -> list[optuna.trial.FrozenTrial]:
    storage = Postgres(server.url)
    try:
        return optuna.load_study(study_name="torture", storage=storage.open(folder)).get_trials()
    except KeyError:
        return []
    finally:
        storage.close()


def test_random_kills_lose_nothing(lab: Any, server: Any, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    sweep = lab.sweep("tortured", {"seed": list(range(TRIALS))})
    victims = Victims(lab, server, sweep)
    killed = (KILLS * ["worker", "supervisor", "worker", "server"])[:KILLS]
    rng.shuffle(killed)
    try:
        for nth, whom in enumerate(killed):
            due, late = (n * (TRIALS - 2) // KILLS for n in (nth, nth + 1))
            while server.ended("torture") < due and victims.supervisor.poll() is None:
                time.sleep(0.05)
            moment = time.monotonic() + rng.random()
            while time.monotonic() < moment and server.ended("torture") < late:
                time.sleep(0.01)
            victims.kill(whom, rng)
        assert victims.supervisor.wait(3000) == 0, victims.log.read_text()
    finally:
        victims.supervisor.kill()
        victims.supervisor.wait()
    print(f"killed: {' '.join(killed)}")
    found = trials(server, tmp_path)
    assert [t.state.name for t in found] == ["COMPLETE"] * TRIALS, victims.log.read_text()
    assert sorted(t.params["seed"] for t in found) == list(range(TRIALS))
    assert lab.search(sweep, *SETTINGS, "study=undisturbed") == 0
    values = {row["overrides"][-1]: row["value"] for row in lab.rows("undisturbed")}
    assert {t.user_attrs["result"]["overrides"][-1]: t.value for t in found} == values
