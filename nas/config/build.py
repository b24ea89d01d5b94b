"""From a checked configuration to a run that can be looked at and trained."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.config.compose import Composed, compose
from nas.config.instantiate import instantiate_node
from nas.config.named import with_keys
from nas.config.parts import build_encoder, make_parts
from nas.config.starting import form_of, start_of
from nas.errors import InputError
from nas.progress import Say, say
from nas.train.folder import identity, study_mistakes

if TYPE_CHECKING:
    from nas.scaffold import EncoderScaffold
    from nas.tasks.base import Task
    from nas.train.group import Group
    from nas.train.result import RunResult
    from nas.train.run import RunPlan, Watch
    from nas.train.rung import Rung


class _AnyRun:
    """What every run knows before anything is built: its configuration, and what it belongs to."""

    def __init__(
        self, composed: Composed, group: str | None, job_type: str, known: Mapping[str, float] | None
    ) -> None:
        self.composed = composed
        self.config = composed.values()
        if wrong := study_mistakes(self.config["study"]):
            raise InputError(*wrong)
        self.overrides = composed.overrides
        self.group = group or self.config["study"] or "train"
        self.job_type = job_type
        self.known = dict(known or {})

    def identity(self) -> str:
        """Return a hash of all that decides the result: the resolved configuration."""
        return identity(self.config)

    def _own_folder(self, task: str) -> Path:
        name = f"{self.composed.choices.get('encoder') or 'encoder'}-{task}-{self.identity()}"
        return Path(self.config["paths"]["outputs"]).expanduser() / self.group / name


class Run(_AnyRun):
    """One training run: its encoder and task are built, nothing is prepared or trained yet.

    Args:
        composed: the checked configuration.
        folder: the run folder; None puts it under ``paths.outputs`` with a name made of encoder,
            task and a hash of the configuration, so that the same command finds it again.
        group: the study or experiment it belongs to.
        job_type: ``train`` or ``trial``, for trackers.
        known: numbers that a search has of it by now; trackers get them too.

    Raises:
        InputError: the encoder or the task cannot be built from these values.
    """

    def __init__(
        self,
        composed: Composed,
        folder: Path | None = None,
        group: str | None = None,
        job_type: str = "train",
        known: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(composed, group, job_type, known)
        self.start = start_of(self.config)
        self.parts = make_parts(self.config)
        self.task: Task = self.parts["task"]
        try:
            self.encoder: EncoderScaffold = build_encoder(self.config, self.task)
        except InputError as error:
            raise InputError(*with_keys(error.mistakes, self.config["encoder"], composed.plain)) from None
        self.folder = folder or self._own_folder(self.task.name)

    def train(self, report: Say = say, rung: Rung | None = None, watch: Watch | None = None) -> RunResult:
        """Train to the end of the budget, in the run folder, and return the result.

        Args:
            report: told what happens, a line at a time.
            rung: asked at every evaluation before the end whether the run goes on, pauses or stops.
            watch: told every row of metrics with the share of the budget.

        Raises:
            InputError: the device is not there or the data cannot be prepared; no folder is made.
            InterruptedRunError: stopped by a signal; the same call continues.
            PausedRunError: ``rung`` paused it; the same call continues.
        """
        from nas.progress import silent
        from nas.train.group import joined
        from nas.train.run import execute
        from nas.train.rung import go_on

        with joined(self.parts["trainer"].device, alone=self.job_type == "trial") as processes:
            told = report if processes.is_main else silent
            plan = self._plan(processes, told)
            return execute(plan, told, rung or go_on, watch or (lambda row, progress: None))

    def _plan(self, processes: Group, report: Say) -> RunPlan:
        """Try the inputs, unless the run is finished, and return all that it needs."""
        from nas.train.result import read_result
        from nas.train.run import RunPlan

        if processes.together(lambda: read_result(self.folder)) is None:
            self.try_inputs(report, processes)
        config, form = self.config, form_of(self.encoder)
        begin = self.start and functools.partial(self.start.plan, self.description, form, self.encoder)
        return RunPlan(
            encoder=self.encoder,
            **self.parts,
            seed=config["seed"],
            folder=self.folder,
            cache=Path(config["paths"]["cache"]).expanduser(),
            name=self.folder.name if self.job_type == "train" else f"trial-{self.folder.name}",
            group=self.group,
            job_type=self.job_type,
            config=config,
            description=self.description,
            overrides=self.overrides,
            processes=processes,
            start=processes.together(begin) if begin else None,
            form=form,
            known=self.known,
        )

    @functools.cached_property
    def description(self) -> dict[str, Any]:
        """The encoder in plain words and numbers, as ``architecture.json`` holds it."""
        from nas.costs.describe import describe

        return describe(self.encoder, self.task.seq_length)

    def inheritance(self) -> dict[str, Any]:
        """Return how many slots take over weights of another architecture's, of how many, if any may."""
        if self.start is None:
            return {}
        heir = self.start.plan(self.description, form_of(self.encoder), self.encoder)
        return heir.told()

    def try_inputs(self, report: Say, processes: Group | None = None) -> None:
        """Prepare the data and try one batch: all that a configuration cannot tell, before there is a folder.

        Raises:
            InputError: the device is not there, or the data is missing or too small.
        """
        from nas.train.group import Group
        from nas.train.precision import choose_dtype

        group = processes or Group()
        trainer, cache = self.parts["trainer"], Path(self.config["paths"]["cache"]).expanduser()
        group.together(lambda: trainer.check_processes(group.size))
        group.together(lambda: choose_dtype(trainer.precision, group.device(trainer.device)))
        group.main_first(lambda: self.task.prepare(cache, report))
        group.together(lambda: self.task.train_batch(0, trainer.batch_size, self.config["seed"]))


class SuiteRun(_AnyRun):
    """One run of a suite: a `Run` for each member, in its own folder below the run folder.

    Args:
        composed, folder, group, job_type, known: as of `Run`.

    Raises:
        InputError: the encoder or a task cannot be built from these values; all mistakes together.
    """

    def __init__(
        self,
        composed: Composed,
        folder: Path | None = None,
        group: str | None = None,
        job_type: str = "train",
        known: Mapping[str, float] | None = None,
    ) -> None:
        from nas.tasks.suite import Suite
        from nas.train.suite import MEMBERS

        super().__init__(composed, group, job_type, known)
        self.folder = folder or self._own_folder(Suite.name)
        self.members = _make_members(composed, self.folder / MEMBERS)
        settings = {key: self.config["task"][key] for key in ("settings", "only")}
        self.task = Suite({name: member.task for name, member in self.members.items()}, **settings)
        self.parts = {key: instantiate_node(key, self.config[key]) for key in ("trainer", "tracker")}

    @property
    def encoder(self) -> EncoderScaffold:
        """The encoder of the member with the longest rows: the one that is described."""
        return self.members[self.task.largest].encoder

    @property
    def description(self) -> dict[str, Any]:
        """The encoder in plain words and numbers, as the member with the longest rows has it."""
        return self.members[self.task.largest].description

    def inheritance(self) -> dict[str, Any]:
        """Return nothing: a suite inherits no weights."""
        return {}

    def train(self, report: Say = say, rung: Rung | None = None, watch: Watch | None = None) -> RunResult:
        """Train every member and return the result of the whole; see `Run.train`.

        ``rung`` is asked after members; see `nas.train.suite.execute_suite`.
        """
        from nas.train.processes import launched
        from nas.train.result import read_result
        from nas.train.rung import go_on
        from nas.train.suite import SuitePlan, execute_suite

        if launched() and self.job_type != "trial":
            raise InputError("task=suite trains in one process: start nas-train without torchrun")
        if read_result(self.folder) is None:
            self.try_inputs(report)
        plan = SuitePlan(
            suite=self.task,
            members={name: functools.partial(_train_member, m) for name, m in self.members.items()},
            evaluate_at=self.parts["trainer"].evaluate_at,
            tracker=self.parts["tracker"],
            seed=self.config["seed"],
            folder=self.folder,
            name=self.folder.name if self.job_type == "train" else f"trial-{self.folder.name}",
            group=self.group,
            job_type=self.job_type,
            config=self.config,
            description=self.description,
            overrides=self.overrides,
            known=self.known,
        )
        return execute_suite(plan, report, rung or go_on, watch or (lambda row, progress: None))

    def try_inputs(self, report: Say) -> None:
        """Prepare every member's data and try one batch of each; see `Run.try_inputs`."""
        for member in self.members.values():
            member.try_inputs(report)


AnyRun = Run | SuiteRun


def run_of(
    composed: Composed,
    folder: Path | None = None,
    group: str | None = None,
    job_type: str = "train",
    known: Mapping[str, float] | None = None,
) -> AnyRun:
    """Return the run of a checked configuration; the arguments are those of `Run`.

    Raises:
        InputError: the encoder or the task cannot be built from these values.
    """
    from nas.config.members import is_suite

    return (SuiteRun if is_suite(composed) else Run)(composed, folder, group, job_type, known)


def build(overrides: Sequence[str] = ()) -> AnyRun:
    """Build the run that ``nas-train`` with these overrides would train.

    Example: ``run = nas.build(["encoder=bert", "task=mqar"]); run.train().metrics``.

    Raises:
        InputError: one sentence for each wrong key, value or name.
    """
    if isinstance(overrides, str):
        raise InputError(f"nas.build takes a list of overrides: nas.build([{overrides!r}])")
    return run_of(compose("train", list(overrides)))


def _train_member(member: Run, report: Say, watch: Watch) -> RunResult:
    result = member.train(report=report, watch=watch)
    member.encoder.to("cpu")  # a GPU shall hold one member at a time
    return result


def _make_members(composed: Composed, folder: Path) -> dict[str, Run]:
    """Build the run of every member; the mistakes of all are reported together."""
    from nas.config.members import members_of, placed

    made: dict[str, Run] = {}
    mistakes: dict[str, None] = {}  # ordered, and each told once
    for name, member in members_of(composed).items():
        try:
            made[name] = Run(member, folder / name)
        except InputError as error:
            settings = composed.values()["task"]["settings"]
            mistakes.update(dict.fromkeys(placed(name, error.mistakes, settings)))
    if mistakes:
        raise InputError(*mistakes)
    return made
