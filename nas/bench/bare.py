"""Training without a run: a loop whose steps are timed, and that leaves no folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from nas.progress import silent
from nas.tasks.base import Task
from nas.train.loop import TrainingLoop
from nas.train.optimizers import AdamW
from nas.train.schedules import Constant
from nas.train.trainer import Trainer

RATE = 1e-3
READ_EVERY = 10
"""Steps after which the loop reads its losses, as in training."""


def bare_loop(trainer: Trainer, model: nn.Module, task: Task, seed: int) -> TrainingLoop:
    """Return a loop over ``model`` in training mode; `take_step` trains it."""
    loop = TrainingLoop(
        trainer, model, task, AdamW(RATE), Constant(warmup=0.0), seed, Path(), "", silent
    )  # fmt: skip
    loop.model.train()
    return loop


def take_step(loop: TrainingLoop) -> Any:
    """Take a whole step; return its loss, left on the device."""
    loop.step()
    loop.position.step += 1
    loss = loop.readings.latest
    if loop.position.step % READ_EVERY == 0:
        loop.readings.read()
    return loss
