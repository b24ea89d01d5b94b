"""One study whose trials are nearly empty, through the real supervisor and workers, every call timed."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import optuna

from nas.bench.overhead_workers import speak
from nas.bench.stopwatch import Lap, Stopwatch, find, restored
from nas.config.compose import Composed
from nas.files import read_json
from nas.search.plan import Plan
from nas.search.storages.postgres_memory import PostgresMemory
from nas.search.worker import Order, work

WAITING, STEP, EVALUATION, SAMPLER = "waiting", "step", "evaluation", "sampler"
TRAINING = (STEP, EVALUATION)
"""What is no overhead."""
WORKER = {
    "config update": ["nas.config.compose:with_values", "nas.config.compose:Composed.values"],
    "build": [
        "nas.config.parts:make_parts",
        "nas.config.parts:build_encoder",
        "nas.costs.describe:describe",
        "nas.train.loop:TrainingLoop.__init__",
        "nas.search.worker:trial_key",
    ],
    "data": ["nas.config.build:Run.try_inputs", "nas.tasks.generated:GeneratedTask.prepare"],
    "tracker": [
        "nas.track.guarded:GuardedTracker.start",
        "nas.track.guarded:GuardedTracker.log",
        "nas.track.guarded:GuardedTracker.finish",
    ],
    "run folder": [
        "nas.train.record:claim",
        "nas.train.run:_Execution._write_identity",
        "nas.train.record:Recorded.info",
        "nas.track.jsonl:MetricsFile.__init__",
        "nas.track.jsonl:MetricsFile.write",
        "nas.train.result:RunResult.write",
    ],
    "checkpoint": ["nas.train.checkpoint:save", "nas.train.checkpoint:load"],
    STEP: ["nas.train.loop:TrainingLoop.step"],
    EVALUATION: ["nas.train.loop:TrainingLoop.evaluate"],
}
"""What a worker does, by stage."""
SUPERVISOR = {
    SAMPLER: [
        "nas.search.samplers.proposing:ProposingSampler.infer_relative_search_space",
        "nas.search.samplers.proposing:ProposingSampler.sample_relative",
    ],
    "proposal": ["nas.search.study:Study.next"],
    "identity": ["nas.search.study:Study.identify"],
    "rungs": ["nas.search.study:Study.report"],
    "end": ["nas.search.study:Study.succeed"],
    "report": [
        "nas.search.run:_Files.write",
        "nas.search.display:Display.ended",
        "nas.search.study:Study.rows",
    ],
    "storage": [
        f"{kind.__module__}:{kind.__name__}.{name}"
        for kind in (optuna.storages.JournalStorage, PostgresMemory)
        for name, value in vars(kind).items()
        if not name.startswith("_") and callable(value)
    ],
    "leases": [
        f"nas.search.storages.postgres_leases:PostgresLeases.{name}"
        for name in ("_begin", "take", "confirm", "let_go", "renew")
    ],
    WAITING: ["nas.search.crew:wait"],
}
"""What the supervisor does, by stage."""


WORK, GIVE = "nas.search.launchers.local:work", "nas.search.crew:Member.give"
"""What a worker runs, and the moment when a trial is handed out: then a lap ends."""


class Measured(NamedTuple):
    """The laps of one study: from one trial to the next.

    Attributes:
        workers: a list for each worker.
        supervisor: one for each proposal.
        starts: for each worker, whether PyTorch was there at its start, and how many modules after
            each trial.
    """

    workers: list[list[Lap]]
    supervisor: list[Lap]
    starts: list[dict[str, Any]]


def measure_study(plan: Plan, folder: Path, training: bool = True) -> Measured:
    """Search, and return where the time went.

    Args:
        plan: of a study that `fill` may have filled.
        folder: for the workers' own notes.
        training: false: workers only say what real ones say, and are not timed.
    """
    from nas.search import run

    places = [WORK, GIVE, *(p for s in SUPERVISOR.values() for p in s)]
    with restored(list(dict.fromkeys(places))):
        watch, laps = Stopwatch(), list[Lap]()
        watch.wrap_all(SUPERVISOR)
        _at_each_call(GIVE, lambda: laps.append(watch.lap()))
        objective = plan.question.objectives[0].name
        worker: Any = (
            functools.partial(timed_work, folder) if training else functools.partial(speak, objective)
        )
        owner, name = find(WORK)
        setattr(owner, name, worker)
        run.search(plan)
    notes = [read_json(path) for path in sorted(folder.glob("worker-*.json"))]
    return Measured([n["laps"] for n in notes], laps[1:], [n["start"] for n in notes])


def timed_work(folder: Path, connection: Connection, base: Composed) -> None:
    """Do a worker's work with a stopwatch, and write the laps to ``folder`` at the end."""

    there = "torch" in sys.modules
    watch = Stopwatch(opaque=TRAINING)
    watch.wrap_all(WORKER)
    timed = _Timed(connection, watch)
    try:
        work(timed, base)  # type: ignore[arg-type]
    finally:
        start = {"torch_was_there": there, "modules": timed.modules}
        text = json.dumps({"start": start, "laps": timed.laps[1:]})
        (folder / f"worker-{os.getpid()}.json").write_text(text)


class _Timed:
    """A worker's connection: a lap ends whenever an order arrives."""

    def __init__(self, connection: Connection, watch: Stopwatch) -> None:
        self._connection = connection
        self._watch = watch
        self._process = time.process_time()
        self.laps: list[Lap] = []
        self.modules: list[int] = []

    def recv(self) -> Any:
        with self._watch.stage(WAITING):
            message = self._connection.recv()
        if isinstance(message, Order) or message is None:
            process = time.process_time()
            lap = self._watch.lap()
            lap["process"] = (0.0, process - self._process)
            self._process = process
            self.laps.append(lap)
            self.modules.append(len(sys.modules))
        return message

    def send(self, message: Any) -> None:
        with self._watch.stage("messages"):
            self._connection.send(message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _at_each_call(path: str, tell: Any) -> None:
    owner, name = find(path)
    original = getattr(owner, name)

    def told(*args: Any, **kwargs: Any) -> Any:
        tell()
        return original(*args, **kwargs)

    setattr(owner, name, told)
