"""The training loop: evaluate, save, step, log, until the budget is spent or the run is stopped."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError
from torch import nn

from nas.errors import DivergedError, InterruptedRunError, PausedRunError
from nas.progress import Say
from nas.scaffold import EncoderScaffold
from nas.tasks.base import VALIDATION, Task
from nas.train import checkpoint, life
from nas.train.evaluate import evaluate
from nas.train.group import Group
from nas.train.interrupt import StopRequest
from nas.train.objective import Objective, Share, shares
from nas.train.optimizers import OptimizerFactory
from nas.train.position import Position
from nas.train.precision import autocast, choose_dtype, make_scaler, set_products
from nas.train.prefetch import Batches
from nas.train.random_state import random_state
from nas.train.readings import Losses, Readings
from nas.train.rung import GO_ON, PAUSE, STOP, Answer
from nas.train.schedules import Schedule
from nas.train.trainer import Trainer


class Listener(Protocol):
    """What watches a run: a file, a tracker, a progress bar, a search."""

    def row(self, row: dict[str, Any], progress: float) -> None:
        """One row of metrics, at a share of the budget."""

    def rung(self, progress: float, metrics: dict[str, float]) -> Answer:
        """One evaluation before the end; return whether the run goes on, pauses or stops here."""


class TrainingLoop:
    """Trains one model; a run that is stopped and started again ends in the same state.

    Args:
        trainer: the settings.
        model: of the task, on the encoder.
        task: prepared; gives the batches.
        optimizer: makes the optimizer.
        schedule: scales its learning rate.
        seed: of the data's order and masks.
        folder: where checkpoints go.
        architecture_hash: a checkpoint of another architecture is refused.
        say: told when a checkpoint cannot be written.
        group: the processes that train this model together; None: this one alone.
        about: what checkpoints tell of the model; JSON-able.
    """

    def __init__(
        self,
        trainer: Trainer,
        model: nn.Module,
        task: Task,
        optimizer: OptimizerFactory,
        schedule: Schedule,
        seed: int,
        folder: Path,
        architecture_hash: str,
        say: Say,
        group: Group | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.say = say
        self.trainer = trainer
        self.task = task
        self.schedule = schedule
        self.seed = seed
        self.folder = folder
        self.group = Group() if group is None else group
        self.about = about
        self.device = self.group.device(trainer.device)
        self.dtype = choose_dtype(trainer.precision, self.device, self._features(model))
        set_products(trainer.precision)
        self.model = model.to(self.device)
        for module in self.model.modules():
            if isinstance(module, EncoderScaffold):
                module.activation_checkpointing = trainer.activation_checkpointing
        self.objective = self.group.wrap(Objective(self.model, task))
        self.peak = optimizer.lr
        self.optimizer = optimizer.build_for(self.model)
        self.parameters = list(self.model.parameters())
        self.batches = Batches(task, trainer.batch_size, seed, self.device, trainer.prefetch)
        self.scaler = make_scaler(self.device, self.dtype)
        self.position = Position(architecture_hash)
        self.readings = Readings(self.group)
        self.choices: dict[str, Any] = {}  # what was chosen for device and shape, for provenance
        self._saved_at = time.monotonic()
        self._save_failed = False

    def _features(self, model: nn.Module) -> float:
        """Return how many numbers one hidden state of a micro-batch has; of several encoders the widest's."""
        encoders = [module for module in model.modules() if isinstance(module, EncoderScaffold)]
        width = max((encoder.hidden_size for encoder in encoders), default=0)
        return self._tokens_per_step() * width / (self.trainer.accumulate * self.group.size)

    def resume(self) -> int:
        """Continue from the folder's checkpoint, if there is one; return the step."""
        own = self.position.architecture_hash
        state = checkpoint.load(self.folder, self.model, self.optimizer, own, self.group.rank)
        if state is not None:
            self.position = self._position(state)
            if self.position.scaler and self.scaler.is_enabled():
                self.scaler.load_state_dict(self.position.scaler)
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
            PausedRunError: ``listener`` paused the run at a rung; everything is saved.
        """
        started = time.monotonic() - self.position.total_seconds
        self.model.train()
        try:
            self._run(listener, stop, started)
        finally:
            self.batches.close()
            self.position.total_seconds = time.monotonic() - started
        return self.position

    def _run(self, listener: Listener, stop: StopRequest, started: float) -> None:
        while True:
            stopping, saving = self._agree(stop)
            self._evaluate_if_due(listener, started)
            if self.position.pruned or self.progress() >= 1.0:
                break
            if saving or stopping:
                self._save(started)
            if stopping:
                raise InterruptedRunError(
                    f"stopped at step {self.position.step}; run the same command to continue"
                )
            self._take_step(listener)

    def _agree(self, stop: StopRequest) -> tuple[bool, bool]:
        """Return whether any process shall stop, and whether a checkpoint is due, by the main one's clock."""
        waited = time.monotonic() - self._saved_at
        due = self.position.step > 0 and waited > self.trainer.checkpoint_seconds
        stopping, (saving, seconds) = self.group.agree(
            stop.requested, [float(due), self.position.train_seconds]
        )
        self.position.train_seconds = seconds
        return stopping, saving > 0

    def tokens_per_second(self) -> float:
        """Return input tokens per second of training so far."""
        return self.position.step * self._tokens_per_step() / max(self.position.train_seconds, 1e-9)

    def _tokens_per_step(self) -> int:
        return self.trainer.batch_size * self.task.seq_length

    def progress(self) -> float:
        """Return the share of the budget that is spent."""
        position = self.position
        return self.trainer.progress(position.step, self._tokens_per_step(), position.train_seconds)

    def steps_in_all(self) -> float:
        """Return the steps of a budget in steps or tokens."""
        return 1 / self.trainer.progress(1, self._tokens_per_step(), 0.0)

    def step(self) -> float:
        """Take one optimizer step and return the learning rate; its losses are read later.

        The auxiliary losses of blocks are added to what is minimised, and kept for the next row.
        """
        rate = self.peak * self.schedule.factor(self.progress())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self.batches.at(self.position.step)
        parts = list(shares(batch, self.group.rank, self.group.size, self.trainer.accumulate))
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for part in parts:
            with self.group.hold_back(self.objective, part is not parts[-1]):
                losses.append(self._backward(part))
        self.readings.add(losses)
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.parameters, self.trainer.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return rate

    def _backward(self, part: Share) -> Losses:
        """Add the gradients of some rows, and return their part of the losses."""
        with autocast(self.device, self.dtype):
            loss, auxiliary = self.objective(part.batch.to(self.device))
        loss, auxiliary = part.weigh(loss, auxiliary)
        minimised = sum(auxiliary.values(), start=loss) * self.group.size  # of which the mean is taken
        self.scaler.scale(minimised).backward()  # type: ignore[no-untyped-call]
        return loss.detach(), {name: value.detach().clone() for name, value in auxiliary.items()}

    def _take_step(self, listener: Listener) -> None:
        began, position = time.monotonic(), self.position
        rate = self.step()
        position.step += 1
        life.sign()
        due = position.step % self.trainer.log_every == 0
        if due:
            self.read_losses()
        position.train_seconds += time.monotonic() - began
        if due:
            speed = round(self.tokens_per_second())
            self._tell({**position.take_means(), "lr": rate, "tokens_per_second": speed}, listener)

    def read_losses(self) -> None:
        """Wait for the losses of the steps since the last reading, and keep them for the next row.

        Raises:
            DivergedError: one is NaN, infinite or exploded.
        """
        position = self.position
        first = position.step - len(self.readings) + 1
        for step, (loss, auxiliary) in enumerate(self.readings.read(), start=first):
            position.keep(step, loss, auxiliary)

    def _tell(self, metrics: dict[str, float], listener: Listener) -> None:
        position = self.position
        listener.row(
            {"step": position.step, "seconds": round(position.train_seconds, 3), **metrics}, self.progress()
        )

    def _evaluate_if_due(self, listener: Listener, started: float) -> None:
        progress, position = self.progress(), self.position
        due = sum(share <= progress + 1e-9 for share in self.trainer.evaluate_at)
        if due <= position.evaluations:
            return
        self.read_losses()
        position.evaluations = due
        position.metrics = self.evaluate()
        position.best_loss = min(position.best_loss, position.metrics["val/loss"])
        self._tell(position.metrics, listener)
        answer = GO_ON
        if progress < 1.0:
            answer = self.group.from_main(lambda: listener.rung(progress, position.metrics))
        position.pruned = answer == STOP
        self._save(started)
        if answer == PAUSE:
            raise PausedRunError(f"paused at {progress:.0%} of the budget", position.total_seconds)

    def evaluate(self) -> dict[str, float]:
        """Return the metrics of every split.

        Raises:
            DivergedError: the validation loss is not finite.
        """
        metrics = evaluate(
            self.model, self.task, self.trainer.batch_size, self.device, self.dtype, self.group
        )
        if not math.isfinite(metrics[f"{VALIDATION}/loss"]):
            loss = metrics[f"{VALIDATION}/loss"]
            raise DivergedError(f"validation loss {loss} at step {self.position.step}")
        return metrics

    def _save(self, started: float) -> None:
        self.read_losses()
        random = self.group.gather(random_state(self.device))
        self.position.total_seconds = time.monotonic() - started
        self.position.scaler = self.scaler.state_dict()
        self._saved_at = time.monotonic()
        if not self.group.is_main:
            return
        state = dataclasses.asdict(self.position)
        try:
            checkpoint.save(self.folder, self.model, self.optimizer, state, self.about, random)
            self._save_failed = False
        except (OSError, SafetensorError) as error:  # a full disk costs the checkpoint, not the run
            if not self._save_failed:
                self.say(f"warning: no checkpoint written in {self.folder}: {error}")
            self._save_failed = True
