"""The zero-cost scores of a run that is about to be trained."""

from __future__ import annotations

from pathlib import Path

from nas.config.build import AnyRun, Run
from nas.progress import silent
from nas.search.proxies.scores import zero_cost_scores
from nas.seeding import seed_torch

ROWS = 8
"""Of the batch: more would cost more, and tell little else."""


def scores_of(run: AnyRun) -> dict[str, float]:
    """Return the scores of a run's untrained model; of a suite, of the member that is described.

    The run is trained as if nobody had looked: its head is drawn again, from the same seed.
    """
    member = run if isinstance(run, Run) else run.members[run.task.largest]
    member.task.prepare(Path(member.config["paths"]["cache"]).expanduser(), silent)
    seed_torch(member.config["seed"], "head")
    model = member.task.model(member.encoder)
    rows = min(ROWS, member.parts["trainer"].batch_size)
    return zero_cost_scores(model, member.task, member.task.train_batch(0, rows, member.config["seed"]))
