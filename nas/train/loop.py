"""The training loop: evaluate, save, step, log, until the budget is spent or the run is stopped."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F

from nas.blocks.losses import collect_losses
from nas.errors import DivergedError, InterruptedRunError
from nas.progress import Say
from nas.tasks.base import Batch, Task
from nas.tasks.scoring import Scores
from nas.train import checkpoint
from nas.train.interrupt import StopRequest
from nas.train.optimizers import OptimizerFactory
from nas.train.precision import autocast, choose_device, choose_dtype
from nas.train.schedules import Schedule
from nas.train.trainer import Trainer

EXPLODED = 3.0
"""A loss this many times the first step's has exploded: no schedule brings it back in time."""


class Listener(Protocol):
    """What watches a run: a file, a tracker, a progress bar, a search."""

    def row(self, row: dict[str, Any], progress: float) -> None:
        """One row of metrics, at a share of the budget."""

    def rung(self, progress: float, metrics: dict[str, float]) -> bool:
        """One evaluation before the end; return False to stop the run here."""


@dataclass
class Position:
    """Where a run is: all that a checkpoint needs beside tensors."""

    architecture_hash: str
    step: int = 0
    train_seconds: float = 0.0
    total_seconds: float = 0.0
    evaluations: int = 0
    first_loss: float = math.nan
    window: list[float] = field(default_factory=list)
    auxiliary: dict[str, list[float]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    best_loss: float = math.inf
    pruned: bool = False


class Model(nn.Module):
    """An encoder and the head of its task."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, batch: Batch) -> Tensor:
        """Return logits [M, V] of the scored positions; only these are projected to the vocabulary."""
        sequence = self.encoder.sequence_output(batch.inputs)  # type: ignore[operator]
        logits: Tensor = self.head(sequence, batch.positions)
        return logits.float()


class TrainingLoop:
    """Trains one model; a run that is stopped and started again ends in the same state.

    Args:
        trainer: the settings.
        model: encoder and head.
        task: prepared; gives the batches.
        optimizer: makes the optimizer.
        schedule: scales its learning rate.
        seed: of the data's order and masks.
        folder: where checkpoints go.
        architecture_hash: a checkpoint of another architecture is refused.
        say: told when a checkpoint cannot be written.
    """

    def __init__(
        self,
        trainer: Trainer,
        model: Model,
        task: Task,
        optimizer: OptimizerFactory,
        schedule: Schedule,
        seed: int,
        folder: Path,
        architecture_hash: str,
        say: Say,
    ) -> None:
        self.say = say
        self.trainer = trainer
        self.task = task
        self.schedule = schedule
        self.seed = seed
        self.folder = folder
        self.device = choose_device(trainer.device)
        self.dtype = choose_dtype(trainer.precision, self.device)
        self.model = model.to(self.device)
        self.peak = optimizer.lr
        self.optimizer = optimizer.build(self.model.parameters())
        self.position = Position(architecture_hash)
        self._saved_at = time.monotonic()
        self._save_failed = False

    def resume(self) -> int:
        """Continue from the folder's checkpoint, if there is one; return the step."""
        state = checkpoint.load(self.folder, self.model, self.optimizer, self.position.architecture_hash)
        if state is not None:
            self.position = self._position(state)
        return self.position.step

    def _position(self, state: dict[str, Any]) -> Position:
        try:
            return Position(**state)
        except TypeError as error:
            raise checkpoint.damaged(self.folder / checkpoint.FOLDER, error) from error

    def run(self, listener: Listener, stop: StopRequest) -> Position:
        """Train to the end of the budget, or until ``listener`` prunes the run.

        Raises:
            DivergedError: the loss became NaN, infinite or exploded.
            InterruptedRunError: ``stop`` was requested; everything is saved.
        """
        started = time.monotonic() - self.position.total_seconds
        self.model.train()
        try:
            self._run(listener, stop, started)
        finally:
            self.position.total_seconds = time.monotonic() - started
        return self.position

    def _run(self, listener: Listener, stop: StopRequest, started: float) -> None:
        while not self.position.pruned and self._progress() < 1.0:
            if stop.requested:
                self._save(started)
                raise InterruptedRunError(
                    f"stopped at step {self.position.step}; run the same command to continue"
                )
            self._take_step(listener)
            self._evaluate_if_due(listener, started)
            if time.monotonic() - self._saved_at > self.trainer.checkpoint_seconds:
                self._save(started)

    def tokens_per_second(self) -> float:
        """Return input tokens per second of training so far."""
        return self.position.step * self._tokens_per_step() / max(self.position.train_seconds, 1e-9)

    def _tokens_per_step(self) -> int:
        return self.trainer.batch_size * self.task.seq_length

    def _progress(self) -> float:
        position = self.position
        return self.trainer.progress(position.step, self._tokens_per_step(), position.train_seconds)

    def steps_in_all(self) -> float:
        """Return the steps of a budget in steps or tokens."""
        return 1 / self.trainer.progress(1, self._tokens_per_step(), 0.0)

    def step(self) -> tuple[float, float]:
        """Take one optimizer step; return the task's loss and the learning rate.

        The auxiliary losses of blocks are added to what is minimised, and kept for the next row.
        """
        rate = self.peak * self.schedule.factor(self._progress())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self.task.train_batch(self.position.step, self.trainer.batch_size, self.seed).to(self.device)
        with autocast(self.device, self.dtype), collect_losses() as auxiliary:
            logits = self.model(batch)
        loss = F.cross_entropy(logits, batch.labels)
        self.optimizer.zero_grad(set_to_none=True)
        sum(auxiliary.values(), start=loss).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), self.trainer.clip_norm)
        self.optimizer.step()
        for name, value in auxiliary.items():
            self.position.auxiliary.setdefault(name, []).append(value.item())
        return loss.item(), rate

    def _take_step(self, listener: Listener) -> None:
        began, position = time.monotonic(), self.position
        loss, rate = self.step()
        position.step += 1
        position.train_seconds += time.monotonic() - began
        if math.isnan(position.first_loss):
            position.first_loss = loss
        if not math.isfinite(loss) or loss > EXPLODED * position.first_loss:
            raise DivergedError(
                f"training loss {loss:.4g} at step {position.step} (first {position.first_loss:.4g})"
            )
        position.window.append(loss)
        if position.step % self.trainer.log_every == 0:
            row = {"train/loss": fmean(position.window), **self._auxiliary()}
            position.window.clear()
            position.auxiliary.clear()
            row |= {"lr": rate, "tokens_per_second": round(self.tokens_per_second())}
            self._tell(row, listener)

    def _auxiliary(self) -> dict[str, float]:
        return {f"train/aux/{name}": fmean(values) for name, values in self.position.auxiliary.items()}

    def _tell(self, metrics: dict[str, float], listener: Listener) -> None:
        position = self.position
        listener.row(
            {"step": position.step, "seconds": round(position.train_seconds, 3), **metrics}, self._progress()
        )

    def _evaluate_if_due(self, listener: Listener, started: float) -> None:
        progress, position = self._progress(), self.position
        due = sum(share <= progress + 1e-9 for share in self.trainer.evaluate_at)
        if due <= position.evaluations:
            return
        position.evaluations = due
        position.metrics = self.evaluate()
        position.best_loss = min(position.best_loss, position.metrics["val/loss"])
        self._tell(position.metrics, listener)
        position.pruned = progress < 1.0 and not listener.rung(progress, position.metrics)
        self._save(started)

    def evaluate(self) -> dict[str, float]:
        """Return the metrics on the validation set.

        Raises:
            DivergedError: the validation loss is not finite.
        """
        self.model.eval()
        scores = Scores()
        with torch.inference_mode(), autocast(self.device, self.dtype):
            for batch in self.task.validation_batches(self.trainer.batch_size):
                moved = batch.to(self.device)
                scores.add(self.model(moved), moved)
        self.model.train()
        metrics = scores.metrics()
        if not math.isfinite(metrics["val/loss"]):
            raise DivergedError(f"validation loss {metrics['val/loss']} at step {self.position.step}")
        return metrics

    def _save(self, started: float) -> None:
        self.position.total_seconds = time.monotonic() - started
        self._saved_at = time.monotonic()
        try:
            checkpoint.save(self.folder, self.model, self.optimizer, dataclasses.asdict(self.position))
            self._save_failed = False
        except (OSError, SafetensorError) as error:  # a full disk costs the checkpoint, not the run
            if not self._save_failed:
                self.say(f"warning: no checkpoint written in {self.folder}: {error}")
            self._save_failed = True
