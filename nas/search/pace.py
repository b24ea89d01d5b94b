"""How long a run would take, from its first steps, whatever else the machine does meanwhile."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nas.config.build import AnyRun, SuiteRun
from nas.progress import say
from nas.train.threads import thread_count

if TYPE_CHECKING:
    from nas.train.loop import TrainingLoop

STEPS = 4
"""The first warms up; of the others the shortest counts: what else the machine does makes them longer."""


class Pace(NamedTuple):
    """How long a run takes.

    Attributes:
        alone: in seconds, on cores that nothing else uses.
        now: in seconds, as long as other programs use them as they do now.
    """

    alone: float
    now: float


def pace(run: AnyRun) -> Pace:
    """Return how long a run would take; evaluations are not counted."""
    from nas.train.loop import TrainingLoop

    if isinstance(run, SuiteRun):
        paces = [pace(member) for member in run.members.values()]
        return Pace(sum(p.alone for p in paces), sum(p.now for p in paces))
    parts = run.parts
    trainer = parts["trainer"]
    if (budget := trainer.budget["seconds"]) is not None:
        return Pace(float(budget), float(budget))
    with tempfile.TemporaryDirectory() as folder, thread_count(trainer.threads):
        model = run.task.model(run.encoder)
        loop = TrainingLoop(
            trainer, model, run.task, parts["optimizer"], parts["schedule"],
            run.config["seed"], Path(folder), "", say,
        )  # fmt: skip
        times = [_step(loop) for _ in range(STEPS)][1:]
    alone = loop.device.type == "cpu" and trainer.threads == 1
    passed, used = (min(column) * loop.steps_in_all() for column in zip(*times, strict=True))
    return Pace(used if alone else passed, passed)


def _step(loop: TrainingLoop) -> tuple[float, float]:
    """Return the seconds that pass while a step is taken, and those that this process has a core."""
    passed, used = time.monotonic(), time.process_time()
    loop.step()
    return time.monotonic() - passed, time.process_time() - used
