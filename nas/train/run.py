"""One run in its folder: provenance first, rows and checkpoints on the way, ``result.json`` last."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from nas.errors import DivergedError, NasError
from nas.progress import Say, silent
from nas.scaffold import EncoderScaffold
from nas.seeding import seed_torch
from nas.tasks.base import Task
from nas.track.guarded import GuardedTracker
from nas.track.jsonl import MetricsFile
from nas.train.checkpoint import load_encoder
from nas.train.choices import choices_of, told
from nas.train.compile import choose_compile, compile_model
from nas.train.failure import forget_trace
from nas.train.group import Group
from nas.train.inherit import Heir
from nas.train.interrupt import StopRequest
from nas.train.loop import Listener, TrainingLoop
from nas.train.memory import keep_memory
from nas.train.optimizers import OptimizerFactory
from nas.train.record import Recorded, summary, tracked
from nas.train.result import RunResult, Status, read_result
from nas.train.rung import GO_ON, Answer, Rung
from nas.train.schedules import Schedule
from nas.train.start import Plan
from nas.train.trainer import Trainer

Watch = Callable[[dict[str, Any], float], None]
"""Told (row, share of the budget)."""


@dataclass(frozen=True, kw_only=True)
class RunPlan(Recorded):
    """All that one training run needs.

    Attributes:
        cache: where tasks keep prepared data.
        processes: those that train it together.
        start: the checkpoint that its weights come from at first.
        form: what else identifies the encoder, for runs that start from this one.
    """

    encoder: EncoderScaffold
    task: Task
    optimizer: OptimizerFactory
    schedule: Schedule
    trainer: Trainer
    cache: Path
    processes: Group = field(default_factory=Group)
    start: Plan | Heir | None = None
    form: Mapping[str, Any] = field(default_factory=dict)


def execute(plan: RunPlan, say: Say, rung: Rung, watch: Watch) -> RunResult:
    """Train to the end of the budget and return the result; a finished run is not trained again.

    A run that was killed continues from its checkpoint to the same result. Of several processes the
    main one alone writes files, and asks ``rung``; all see the same folders.

    Raises:
        InputError: the task cannot be prepared, its data is not what it was when this run began, or
            another process trains this run.
        InterruptedRunError: the run was asked to stop, and is saved.
        PausedRunError: ``rung`` paused it.
        NasError: the run folder cannot be written.
    """
    try:
        return _execute(plan, say, rung, watch)
    except OSError as error:
        raise NasError(f"the run in {plan.folder} cannot go on: {error}") from error


def _execute(plan: RunPlan, say: Say, rung: Rung, watch: Watch) -> RunResult:
    group = plan.processes
    with contextlib.ExitStack() as held:
        group.main_first(lambda: held.enter_context(plan.own_folder()) if group.is_main else None)
        group.main_first(lambda: _prepare(plan, say))
        finished = group.together(lambda: read_result(plan.folder))
        if finished is not None:
            load_encoder(plan.folder, plan.encoder)
            say(plan.already_finished)
            return finished
        if not group.is_main:
            return _Follower(plan).run()
        return _Execution(plan, say, rung, watch).run()


def _prepare(plan: RunPlan, say: Say) -> None:
    plan.task.prepare(plan.cache, say)
    plan.check_data(plan.task.fingerprint())


def _make_loop(plan: RunPlan, say: Say) -> TrainingLoop:
    """Build the model on the encoder, and continue or start where the plan says."""
    torch.set_num_threads(plan.trainer.threads)
    seed_torch(plan.seed, "head")
    model = plan.task.model(plan.encoder)
    rank = plan.processes.rank
    seed_torch(plan.seed, "dropout", *([rank] if rank else []))
    modules = [slot.block for slot in plan.encoder.slots]
    about = {"task": plan.task.name, "architecture": plan.description, "form": plan.form, "modules": modules}
    loop = TrainingLoop(
        plan.trainer, model, plan.task, plan.optimizer, plan.schedule,
        plan.seed, plan.folder, plan.description["hash"], say, plan.processes, about,
    )  # fmt: skip
    alone = plan.processes.size == 1 and plan.trainer.accumulate == 1
    compiled = choose_compile(plan.trainer.compile, loop.device)
    compile_model(model, compiled, plan.cache, say, graphs=alone and loop.device.type == "cuda")
    loop.choices = choices_of(loop, compiled, kept=loop.device.type == "cpu" and _keep_memory(plan))
    step = plan.processes.together(loop.resume)
    if step:
        say(f"continuing {plan.folder} from step {step}")
    elif (start := plan.start) is not None:
        say(plan.processes.together(lambda: start.load(model, plan.task.name)))
    return loop


def _keep_memory(plan: RunPlan) -> bool:
    return plan.trainer.keep_memory and keep_memory()


class _Follower:
    """A process beside the main one: it trains, writes nothing, and learns from the main one when to stop."""

    def __init__(self, plan: RunPlan) -> None:
        self.plan = plan

    def run(self) -> RunResult:
        loop = _make_loop(self.plan, silent)
        return result_of(self.plan, loop, *trained(loop, self))

    def row(self, row: dict[str, Any], progress: float) -> None:
        """The main process writes it."""

    def rung(self, progress: float, metrics: dict[str, float]) -> Answer:
        """Never asked: the main process is."""
        return GO_ON


class _Execution:
    """The state of one execution: metrics file, tracker."""

    def __init__(self, plan: RunPlan, say: Say, rung: Rung, watch: Watch) -> None:
        self.plan = plan
        self.say = say
        self.on_rung = rung
        self.watch = watch
        self.tracker = GuardedTracker(plan.tracker, say)
        self.metrics_file: MetricsFile

    def run(self) -> RunResult:
        plan = self.plan
        loop = _make_loop(plan, self.say)
        if plan.job_type == "train":
            self.say(told(loop.choices))
        self._write_identity(loop)
        self.metrics_file = MetricsFile(plan.folder, from_step=loop.position.step)
        with tracked(self.tracker, plan.info(plan.task.name), self.metrics_file):
            result = self._train(loop)
        forget_trace(plan.folder)
        result.write(plan.folder)
        return result

    def _train(self, loop: TrainingLoop) -> RunResult:
        result = result_of(self.plan, loop, *trained(loop, self))
        loss = loop.position.best_loss
        best = {"val/best_loss": loss} if math.isfinite(loss) else {}
        self.tracker.finish(summary(result, **best, **self.plan.known))
        return result

    def row(self, row: dict[str, Any], progress: float) -> None:
        """Write a row to the file, the tracker and whoever watches."""
        self.metrics_file.write(row)
        self.tracker.log(row)
        self.watch(row, progress)

    def rung(self, progress: float, metrics: dict[str, float]) -> Answer:
        """Ask whether the run shall go on."""
        return self.on_rung(progress, metrics)

    def _write_identity(self, loop: TrainingLoop) -> None:
        plan = self.plan
        machine = {**loop.choices, "processes": plan.processes.size}
        start = {} if plan.start is None else {"checkpoint": plan.start.provenance}
        plan.write_identity(**machine, data=plan.task.fingerprint(), **start)
        plan.task.keep(plan.folder)


def trained(loop: TrainingLoop, listener: Listener) -> tuple[Status, str | None]:
    """Run the loop to its end; return how it ended, and why it did so early."""
    try:
        with StopRequest() as stop:
            position = loop.run(listener, stop)
    except DivergedError as error:
        return "diverged", f"diverged: {error}"
    return ("pruned", f"pruned at {loop.progress():.0%} of the budget") if position.pruned else ("done", None)


def result_of(plan: RunPlan, loop: TrainingLoop, status: Status, reason: str | None) -> RunResult:
    """Return the result of a loop that has ended."""
    position, description = loop.position, plan.description
    return RunResult(
        status=status,
        task=plan.task.name,
        metrics=position.metrics,
        architecture=description["string"],
        architecture_hash=description["hash"],
        parameters=description["parameters"],
        flops_per_token=description["flops_per_token"],
        tokens_per_second=round(loop.tokens_per_second(), 1),
        steps=position.step,
        seconds=round(position.total_seconds, 3),
        seed=plan.seed,
        reason=reason,
    )
