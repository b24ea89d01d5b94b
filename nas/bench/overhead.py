"""The bench ``overhead``: what a trial costs beside its training, split by what the time goes to."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nas.bench.base import Bench
from nas.bench.filling import fill
from nas.bench.overhead_run import TRAINING, WAITING, Measured, measure_study
from nas.bench.stopwatch import Lap
from nas.config.compose import compose
from nas.errors import check_positive
from nas.progress import Say
from nas.search.plan import plan_search

if TYPE_CHECKING:
    from rich.table import Table

TINY = (
    "sweep=layer_choice", "task=mqar", "task.seq_length=16", "task.validation_examples=64",
    "encoder.hidden_size=16", "encoder.num_heads=2", "trainer.batch_size=8", "trainer.steps=2",
    "trainer.evaluate_at=[0.5,1.0]",
)  # fmt: skip
"""A study whose trials are over as soon as they begin: two steps, one rung."""
WARM_UP = 3
"""Trials of each worker that are not counted: first calls import and allocate."""


class OverheadBench(Bench):
    """Runs whole studies of nearly empty trials, and tells where their time went.

    Args:
        finished: how many finished trials the study has before; one study for each.
        workers: how many processes train; one study for each.
        trials: that each worker trains, the first three not counted.
        overrides: of the studies, after their own.
        postgres: where the studies are kept, as ``postgresql://user@host/database``; they stay there.
            None: in journal files.

    Raises:
        InputError: a number that is not positive, or overrides that make no search.
    """

    name: ClassVar[str] = "overhead"
    trains: ClassVar[bool] = True
    paused: ClassVar[float] = 0.0
    settings: ClassVar[tuple[str, ...]] = ("rungs=null",)

    def __init__(
        self,
        finished: list[int] | None = None,
        workers: list[int] | None = None,
        trials: int = 30,
        overrides: list[str] | None = None,
        postgres: str | None = None,
    ) -> None:
        self.finished = [10, 1000] if finished is None else finished
        self.workers = [1, 2] if workers is None else workers
        check_positive(trials=trials - WARM_UP, **{f"finished.{i}": n for i, n in enumerate(self.finished)})
        check_positive(**{f"workers.{i}": n for i, n in enumerate(self.workers)})
        self.trials = trials
        kept = [] if postgres is None else ["storage=postgres", f"storage.url={postgres}"]
        self.overrides = [*kept, *(overrides or [])]

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Search once for each number of finished trials and of workers; see `Bench`."""
        rows = []
        for finished in self.finished:
            for workers in self.workers:
                report(f"{finished} finished trials, {workers} worker(s)")
                rows.append(
                    {"finished": finished, "workers": workers, **self._study(finished, workers, seed)}
                )
        return {"rows": rows}

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return a table of the workers' time, one of the supervisor's, and lines on both."""
        rows = results["rows"]
        starts = [start for row in rows for start in row["starts"]]
        there = sum(start["torch_was_there"] for start in starts)
        late = max((start["modules"][-1] - start["modules"][:WARM_UP][-1] for start in starts), default=0)
        return [
            _table("a worker, from one order to the next: wall ms a trial (quartiles)", rows, "worker"),
            _table("the supervisor, from one trial to the next: wall ms (quartiles)", rows, "supervisor"),
            "overhead is all but steps and evaluations; a worker's waiting is the supervisor's part of it",
            *(_processor_time(row) for row in rows),
            f"PyTorch was imported before the worker began in {there} of {len(starts)} workers; "
            f"after {WARM_UP} trials a worker imported at most {late} more modules",
        ]

    def _study(self, finished: int, workers: int, seed: int) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            paused = round(self.paused * finished)
            n_trials = finished + paused + self.trials * workers
            own = [f"paths.outputs={folder}/outputs", f"paths.cache={folder}/cache", f"workers={workers}"]
            fixed = [f"seed={seed}", f"n_trials={n_trials}", f"study=overhead-{uuid.uuid4().hex[:8]}"]
            plan = plan_search(compose("search", [*TINY, *self.settings, *own, *fixed, *self.overrides]))
            fill(plan, finished, paused, seed)
            return self.told(measure_study(plan, Path(folder), self.trains), workers)

    def told(self, measured: Measured, workers: int) -> dict[str, Any]:
        """Return the quartiles of what a worker and the supervisor do for each trial."""
        laps = [lap for worker in measured.workers for lap in warm(worker)]
        return {
            "worker": summary(laps, TRAINING),
            "supervisor": summary(warm(measured.supervisor, workers), (WAITING,)),
            "starts": measured.starts,
        }


def warm(laps: list[Lap], workers: int = 1) -> list[Lap]:
    """Return the laps after the first ones of so many workers; the last one if there are no more."""
    return laps[WARM_UP * workers :] or laps[-1:]


def summary(laps: list[Lap], left_out: tuple[str, ...]) -> dict[str, dict[str, list[float]]]:
    """Return stage to the quartiles of its milliseconds, wall and CPU.

    Two rows are made here: ``overhead`` is all but ``left_out``, and ``other threads`` what the
    process used beside the thread that trains.
    """
    process = [lap.get("process", (0.0, 0.0))[1] for lap in laps]
    stages = list(dict.fromkeys(name for lap in laps for name in lap if name != "process"))
    table = {name: np.array([lap.get(name, (0.0, 0.0)) for lap in laps]) for name in stages}
    none = np.zeros((len(laps), 2))
    table["overhead"] = sum((table[name] for name in stages if name not in left_out), none)
    if any(process):  # what other threads used is the tracker's
        others = np.array(process) - sum((table[name][:, 1] for name in stages), none[:, 1])
        table["other threads"] = np.stack([others * 0, others], axis=1)
    return {
        name: {
            kind: [float(q) for q in np.quantile(column, [0.25, 0.5, 0.75]) * 1e3]
            for kind, column in zip(("wall", "cpu"), values.T, strict=True)
        }
        for name, values in table.items()
    }


def _processor_time(row: dict[str, Any]) -> str:
    worker, tracker, supervisor = (
        row[who][stage]["cpu"][1]
        for who, stage in (("worker", "overhead"), ("worker", "other threads"), ("supervisor", "overhead"))
    )
    return (
        f"CPU ms a trial, {row['finished']} finished, {row['workers']} worker(s): worker {worker:.1f} "
        f"+ its tracker's threads {tracker:.1f} + supervisor {supervisor:.1f}"
    )


def _table(title: str, rows: list[dict[str, Any]], who: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("stage")
    for row in rows:
        heading = f"{row['finished']} finished, {row['workers']} worker(s)"
        table.add_column(heading, justify="right")
        table.add_column("CPU", justify="right")
    stages = list(dict.fromkeys(name for row in rows for name in row[who]))
    for stage in sorted(stages, key=lambda s: (s == "overhead", s in TRAINING)):
        cells = [cell for row in rows for cell in _cells(row[who].get(stage))]
        table.add_row(stage, *cells, style="bold" if stage == "overhead" else "")
    return table


def _cells(measured: dict[str, list[float]] | None) -> tuple[str, str]:
    if measured is None:
        return "", ""
    low, middle, high = measured["wall"]
    return f"{middle:.1f} ({low:.1f}-{high:.1f})", f"{measured['cpu'][1]:.1f}"
