"""A suite in its folder: a run folder for each member below it, and the files of the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nas.errors import NasError, PausedRunError
from nas.progress import Say
from nas.tasks.suite import Suite
from nas.track.guarded import GuardedTracker
from nas.track.jsonl import FILE as METRICS
from nas.track.jsonl import MetricsFile, read_rows
from nas.train.record import Recorded, summary, tracked
from nas.train.result import RunResult, Status, read_result
from nas.train.run import Watch
from nas.train.rung import PAUSE, STOP, Rung

MEMBERS = "tasks"
"""The folder of the members' run folders."""
TrainMember = Callable[[Say, Watch], RunResult]


@dataclass(frozen=True, kw_only=True)
class SuitePlan(Recorded):
    """All that the training of a suite needs.

    Attributes:
        suite: the tasks.
        members: what trains each, in order, in its own run folder.
        evaluate_at: shares of the suite after which the run may be stopped.
        description: of the encoder, as the member with the longest rows has it.
    """

    suite: Suite
    members: Mapping[str, TrainMember]
    evaluate_at: list[float]


def execute_suite(plan: SuitePlan, say: Say, rung: Rung, watch: Watch) -> RunResult:
    """Train the members one after another and return the result of the whole.

    After the first member that completes a share of ``evaluate_at``, ``rung`` is told the metrics
    over the members so far: their order is fixed, so runs are compared on equal terms. A member
    that diverges scores 0. A suite that was killed continues with the member that it was at.

    Raises:
        InputError: a task cannot be prepared, its data is not what it was when this suite began, or
            another process trains this run.
        InterruptedRunError: the run was asked to stop, and is saved.
        PausedRunError: ``rung`` paused it.
        NasError: the run folder cannot be written.
    """
    try:
        with plan.own_folder():
            plan.check_data(plan.suite.fingerprint())
            finished = read_result(plan.folder)
            if finished is not None:
                say(plan.already_finished)
                return finished
            return _Execution(plan, say, rung, watch).run()
    except OSError as error:
        raise NasError(f"the run in {plan.folder} cannot go on: {error}") from error


class _Execution:
    """The state of one execution: results so far, metrics file, tracker."""

    def __init__(self, plan: SuitePlan, say: Say, rung: Rung, watch: Watch) -> None:
        self.plan = plan
        self.say = say
        self.rung = rung
        self.watch = watch
        self.tracker = GuardedTracker(plan.tracker, say)
        self.results: dict[str, RunResult] = {}
        self.metrics: dict[str, float] = {}
        rows = read_rows(plan.folder / METRICS)
        self.logged = int(rows[-1]["step"]) if rows else 0
        self.metrics_file = MetricsFile(plan.folder, from_step=self.logged)

    def run(self) -> RunResult:
        plan = self.plan
        plan.write_identity(data=plan.suite.fingerprint())
        with tracked(self.tracker, plan.info(plan.suite.name), self.metrics_file):
            result = self._train()
            self.tracker.finish(summary(result, **plan.known))
        result.write(plan.folder)
        return result

    def _train(self) -> RunResult:
        asked = 0
        for number, name in enumerate(self.plan.members):
            share = (number + 1) / len(self.plan.members)
            self._train_member(name, number)
            due = sum(at <= share + 1e-9 for at in self.plan.evaluate_at)
            answer = self.rung(share, self.metrics) if asked < due and share < 1 else None
            if answer == STOP:
                return self._result("pruned", [f"pruned after {', '.join(self.results)}"])
            if answer == PAUSE:
                raise PausedRunError(f"paused after {', '.join(self.results)}", self._seconds())
            asked = due
        dead = [f"{name} {r.reason}" for name, r in self.results.items() if r.status != "done"]
        return self._result("diverged" if len(dead) == len(self.results) else "done", dead)

    def _train_member(self, name: str, number: int) -> None:
        count = len(self.plan.members)
        known = read_result(self.plan.folder / MEMBERS / name) is not None

        def say(line: str) -> None:
            if not known:
                self.say(f"{name}: {line}")

        def watch(row: dict[str, Any], progress: float) -> None:
            if "train/loss" in row:
                self.watch(row, (number + progress) / count)

        self.results[name] = self.plan.members[name](say, watch)
        lived = {n: r.metrics if r.status == "done" else None for n, r in self.results.items()}
        self.metrics = self.plan.suite.evaluated(lived)
        self._tell(name, (number + 1) / count)

    def _tell(self, name: str, share: float) -> None:
        """Write the row of a member that is finished, unless an earlier start has."""
        steps = sum(result.steps for result in self.results.values())
        seconds = round(self._seconds(), 3)
        told = {k: v for k, v in self.metrics.items() if k.split("/")[0] in (name, "val")}
        row = {"step": steps, "seconds": seconds, **told}
        if steps <= self.logged:
            return
        self.metrics_file.write(row)
        self.tracker.log(row)
        self.watch(row, share)

    def _seconds(self) -> float:
        return sum(result.seconds for result in self.results.values())

    def _result(self, status: Status, reasons: list[str]) -> RunResult:
        plan, results = self.plan, list(self.results.values())
        seconds = self._seconds()
        work = sum(result.tokens_per_second * result.seconds for result in results)
        return RunResult(
            status=status,
            task=plan.suite.name,
            metrics=self.metrics,
            architecture=plan.description["string"],
            architecture_hash=plan.description["hash"],
            parameters=plan.description["parameters"],
            flops_per_token=plan.description["flops_per_token"],
            tokens_per_second=round(work / seconds, 1) if seconds else 0.0,
            steps=sum(result.steps for result in results),
            seconds=round(seconds, 3),
            seed=plan.seed,
            reason="; ".join(reasons) or None,
        )
