"""The report of a set of runs: one table for each task, made from the files of the run folders."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.errors import InputError
from nas.files import write_text
from nas.report.found import Run
from nas.report.members import SCORE, SUFFIX
from nas.report.page import render
from nas.report.read import is_run, read_run
from nas.report.tables import legend, pictures

FILE = "report.html"


@dataclass(frozen=True)
class TaskRuns:
    """The runs of one task, best first, with the metrics that they have."""

    task: str
    metrics: tuple[str, ...]
    rows: tuple[tuple[Run, str], ...]


def write_runs_report(folder: Path) -> Path:
    """Write ``report.html`` over all runs below a folder, and return its path.

    Raises:
        InputError: the folder does not exist or holds no run.
    """
    page = render_runs(folder)
    path = folder / FILE
    write_text(path, page)
    return path


def render_runs(folder: Path) -> str:
    """Return the report over all runs in a folder, or one or two levels below it, as HTML.

    Raises:
        InputError: the folder does not exist or holds no run.
    """
    runs = _runs(folder)
    tasks = sorted({run.task for run in runs}, key=lambda task: (not task, task))
    return render(
        "runs.jinja",
        name=folder.resolve().name,
        count=len(runs),
        legend=legend(runs),
        counts=sorted(Counter(run.status for run in runs).items()),
        seconds=sum(run.seconds or 0.0 for run in runs),
        groups=[_task_runs(task, [run for run in runs if run.task == task]) for task in tasks],
    )


def _runs(folder: Path) -> list[Run]:
    if not folder.is_dir():
        raise InputError(
            f"folder={str(folder)!r} does not exist; expected a folder of runs, such as outputs/"
        )
    places = [folder, *sorted(folder.glob("*/")), *sorted(folder.glob("*/*/"))]
    found = [place for place in places if is_run(place)]
    if not found:
        raise InputError(
            f"folder={str(folder)!r} holds no run: expected result.json or metrics.jsonl, "
            "which nas-train writes, in it or up to two levels below"
        )
    return [
        read_run(place, place.relative_to(folder).as_posix() if place != folder else place.name)
        for place in found
    ]


def _task_runs(task: str, runs: Sequence[Run]) -> TaskRuns:
    names = {name for run in runs for name in run.metrics}
    if SCORE in names:  # a suite's members have tables of their own
        names = {name for name in names if name.endswith(SUFFIX)}
    metrics = tuple(sorted(names, key=lambda name: ("loss" not in name, name != SCORE, name)))
    # A lower loss is better; without a loss, a higher value of the first metric is.
    sign = 1 if metrics and "loss" in metrics[0] else -1
    first = metrics[0] if metrics else ""

    def order(run: Run) -> tuple[bool, float, str]:
        return run.status != "done", sign * run.metrics[first] if first in run.metrics else math.inf, run.name

    ordered = sorted(runs, key=order)
    return TaskRuns(task, metrics, tuple(zip(ordered, pictures(ordered), strict=True)))
