"""One run in its folder: provenance first, rows and checkpoints on the way, ``result.json`` last."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nas.drawing.picture import drawing
from nas.errors import DivergedError, NasError
from nas.files import exclusive, read_json, write_json, write_text
from nas.progress import Say
from nas.provenance import provenance
from nas.scaffold import EncoderScaffold
from nas.seeding import seed_torch
from nas.tasks.base import Task
from nas.track.base import RunInfo, Tracker
from nas.track.guarded import GuardedTracker
from nas.track.jsonl import MetricsFile
from nas.train.checkpoint import load_encoder
from nas.train.folder import LOCK, claim
from nas.train.interrupt import StopRequest
from nas.train.loop import Model, TrainingLoop
from nas.train.optimizers import OptimizerFactory
from nas.train.result import RunResult, Status, read_result
from nas.train.schedules import Schedule
from nas.train.trainer import Trainer

PATIENCE = 10.0
"""Seconds to wait for another process that is leaving the same run folder."""

Rung = Callable[[float, dict[str, float]], bool]
"""Told (share of the budget, metrics) at an evaluation; returns False to stop the run."""
Watch = Callable[[dict[str, Any], float], None]
"""Told (row, share of the budget)."""


@dataclass(frozen=True)
class RunPlan:
    """All that one training run needs.

    Attributes:
        name, group, job_type: how trackers call the run.
        cache: where tasks keep prepared data.
        config: the resolved configuration.
        description: of the encoder, by `nas.costs.describe.describe`.
        overrides: what it was composed from.
    """

    encoder: EncoderScaffold
    task: Task
    optimizer: OptimizerFactory
    schedule: Schedule
    trainer: Trainer
    tracker: Tracker
    seed: int
    folder: Path
    cache: Path
    name: str
    group: str
    job_type: str
    config: dict[str, Any]
    description: dict[str, Any]
    overrides: tuple[str, ...]


def execute(plan: RunPlan, say: Say, rung: Rung, watch: Watch) -> RunResult:
    """Train to the end of the budget and return the result; a finished run is not trained again.

    A run that was killed continues from its checkpoint to the same result.

    Raises:
        InputError: the task cannot be prepared, or another process trains this run.
        InterruptedRunError: the run was asked to stop, and is saved.
        NasError: the run folder cannot be written.
    """
    try:
        return _execute(plan, say, rung, watch)
    except OSError as error:
        raise NasError(f"the run in {plan.folder} cannot go on: {error}") from error


def _execute(plan: RunPlan, say: Say, rung: Rung, watch: Watch) -> RunResult:
    plan.folder.mkdir(parents=True, exist_ok=True)
    busy = f"{plan.folder} is being trained by another process"
    with exclusive(plan.folder / LOCK, busy, patience=PATIENCE):
        claim(plan.folder, plan.config, plan.overrides)
        finished = read_result(plan.folder)
        if finished is not None:
            load_encoder(plan.folder, plan.encoder)
            say(f"{plan.folder} is finished: this is its result (remove the folder to train it again)")
            return finished
        return _Execution(plan, say, rung, watch).run()


class _Execution:
    """The state of one execution: description, metrics file, tracker."""

    def __init__(self, plan: RunPlan, say: Say, rung: Rung, watch: Watch) -> None:
        self.plan = plan
        self.say = say
        self.on_rung = rung
        self.watch = watch
        self.description = plan.description
        self.tracker = GuardedTracker(plan.tracker, say)
        self.metrics_file: MetricsFile

    def run(self) -> RunResult:
        plan = self.plan
        torch.set_num_threads(plan.trainer.threads)
        plan.task.prepare(plan.cache, self.say)
        seed_torch(plan.seed, "head")
        model = Model(plan.encoder, plan.task.head(plan.encoder))
        seed_torch(plan.seed, "dropout")
        loop = TrainingLoop(
            plan.trainer, model, plan.task, plan.optimizer, plan.schedule,
            plan.seed, plan.folder, self.description["hash"], self.say,
        )  # fmt: skip
        step = loop.resume()
        if step:
            self.say(f"continuing {plan.folder} from step {step}")
        self._write_identity(loop)
        self.metrics_file = MetricsFile(plan.folder, from_step=step)
        self.tracker.start(self._info())
        try:
            result = self._train(loop)
        except BaseException as error:
            self.tracker.finish({"status": "interrupted", "reason": str(error)})
            raise
        finally:
            self.metrics_file.close()
        result.write(plan.folder)
        return result

    def _train(self, loop: TrainingLoop) -> RunResult:
        status: Status = "done"
        reason = None
        try:
            with StopRequest() as stop:
                position = loop.run(self, stop)
            if position.pruned:
                share = loop.trainer.progress(position.step, loop._tokens_per_step(), position.train_seconds)
                status, reason = "pruned", f"pruned at {share:.0%} of the budget"
        except DivergedError as error:
            status, reason = "diverged", f"diverged: {error}"
        result = self._result(loop, status, reason)
        self.tracker.finish(self._summary(result, loop.position.best_loss))
        return result

    def row(self, row: dict[str, Any], progress: float) -> None:
        """Write a row to the file, the tracker and whoever watches."""
        self.metrics_file.write(row)
        self.tracker.log(row)
        self.watch(row, progress)

    def rung(self, progress: float, metrics: dict[str, float]) -> bool:
        """Ask whether the run shall go on."""
        return self.on_rung(progress, metrics)

    def _result(self, loop: TrainingLoop, status: Status, reason: str | None) -> RunResult:
        plan, position = self.plan, loop.position
        return RunResult(
            status=status,
            task=plan.task.name,
            metrics=position.metrics,
            architecture=self.description["string"],
            architecture_hash=self.description["hash"],
            parameters=self.description["parameters"],
            flops_per_token=self.description["flops_per_token"],
            tokens_per_second=round(loop.tokens_per_second(), 1),
            steps=position.step,
            seconds=round(position.total_seconds, 3),
            seed=plan.seed,
            reason=reason,
        )

    def _write_identity(self, loop: TrainingLoop) -> None:
        plan = self.plan
        write_json(plan.folder / "architecture.json", self.description)
        write_text(plan.folder / "architecture.svg", drawing(self.description))
        machine = {"device": str(loop.device), "precision": str(loop.dtype).removeprefix("torch.")}
        threads = {"threads": torch.get_num_threads()}
        source = {**provenance(plan.seed), **machine, **threads, "data": plan.task.fingerprint()}
        write_json(plan.folder / "provenance.json", source)

    def _info(self) -> RunInfo:
        plan, description = self.plan, self.description
        return RunInfo(
            name=plan.name,
            group=plan.group,
            job_type=plan.job_type,
            folder=plan.folder.parent if plan.job_type == "train" else plan.folder.parent.parent,
            identity=_identity(plan.folder),
            config={**plan.config, **flat_architecture(description)},
            tags=(description["string"].split("-")[0], plan.task.name),
            picture=drawing(description),
        )

    def _summary(self, result: RunResult, best_loss: float) -> dict[str, Any]:
        best = {"val/best_loss": best_loss} if math.isfinite(best_loss) else {}
        return {
            "status": result.status,
            **result.metrics,
            **best,
            "cost/parameters": result.parameters,
            "cost/flops_per_token": result.flops_per_token,
            "tokens_per_second": result.tokens_per_second,
            "seconds": result.seconds,
        }


def flat_architecture(description: dict[str, Any]) -> dict[str, Any]:
    """Return the architecture as flat keys: W&B can neither filter nor group by items of a list."""
    slots = description["slots"]
    roles = [slot["role"] for slot in slots]
    return {
        "arch/string": description["string"],
        "arch/hash": description["hash"],
        **{f"arch/slot_{i:02d}": slot["label"] for i, slot in enumerate(slots)},
        **{f"arch/n_{role}": roles.count(role) for role in sorted(set(roles))},
        "cost/parameters": description["parameters"],
        "cost/flops_per_token": description["flops_per_token"],
    }


def _identity(folder: Path) -> str:
    """Return the tracker's id of a run: made once, kept in the folder, so that it can continue."""
    path = folder / "tracker.json"
    if not path.is_file():
        write_json(path, {"id": uuid.uuid4().hex[:12]})
    return str(read_json(path)["id"])
