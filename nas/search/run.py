"""``nas-search`` from a checked plan to the report."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna

from nas.config.compose import with_values
from nas.config.instantiate import instantiate_node
from nas.errors import InputError
from nas.files import exclusive
from nas.progress import say
from nas.report.study import write_study_report
from nas.search.baselines import Baselines
from nas.search.crew import Crew, ignore
from nas.search.display import Display
from nas.search.evaluation import Evaluation
from nas.search.launchers.base import Launcher
from nas.search.plan import Plan, seeded
from nas.search.predicted import PredictedScreen
from nas.search.pricing import Pricing
from nas.search.rungs.race import Race
from nas.search.samplers.grid import Grid
from nas.search.samplers.proposing import ProposingSampler
from nas.search.screen import PREDICTED, Screen, read_screen
from nas.search.spaces.base import Base
from nas.search.spaces.guide import Guide
from nas.search.storages.base import Storage
from nas.search.storages.leases import Leases
from nas.search.study import Study
from nas.search.supervise import Supervisor
from nas.search.winner import prepare, write_experiment

LOCK = ".lock"
SHARE = 20
"""While trials run, at most one part in so many of the time goes into writing the study's files."""


def search(plan: Plan) -> Path:
    """Run the search to its end and return the study's folder.

    Raises:
        InputError: another process runs this study, it was made with another space, or its folder or
            storage cannot be written.
        InterruptedRunError: stopped by a signal; the same call continues.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # what it would say, the display says better
    plan.reference.try_inputs(say)  # once, for all workers, and before there is a folder
    plan = replace(plan, question=replace(plan.question, data=plan.reference.task.fingerprint()))
    _make_folder(plan.folder)
    with exclusive(plan.folder / LOCK, f"study={plan.question.name!r} is being searched by another process"):
        _search_locked(plan)
    return plan.folder


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOCK).open("a").close()
    except OSError as error:
        raise InputError(
            f"the study's folder {folder} cannot be written: {error.strerror}; "
            "choose another place with paths.outputs=..."
        ) from error


def _search_locked(plan: Plan) -> None:
    storage: Storage = instantiate_node("storage", plan.config["storage"])
    try:
        opened = storage.open(plan.folder)
        leases = storage.leases(plan.question.name, plan.folder)
        try:
            _search_joined(plan, _open_study(plan, opened, leases))
        finally:
            leases.leave()
    finally:
        storage.close()


def _search_joined(plan: Plan, study: Study) -> None:
    n_trials = plan.config["n_trials"]
    complete = study.is_complete(n_trials)
    files = _Files(plan, study, complete)
    if complete:
        say(
            f"study {plan.question.name}: "
            + (
                study.exhausted()
                or f"it has {study.asked()} trials already: n_trials={n_trials} is the total"
            )
        )
    else:
        files.write()
        _train_trials(plan, study, files)
    files.write(finished=True)
    write_study_report(plan.folder)


def _train_trials(plan: Plan, study: Study, files: _Files) -> None:
    n_trials = plan.config["n_trials"]
    launcher: Launcher = instantiate_node("launcher", plan.config["launcher"])
    say(f"{plan.question.name}: {n_trials} trials, {plan.workers} at a time, in {plan.folder}")
    crew = Crew(plan.workers, plan.composed, launcher, plan.config["hang_seconds"])
    try:
        prepare(plan.composed)  # while the workers begin
        total = n_trials + 2 * plan.config["baselines"] + study.evaluation.final
        with Display(total, plan.question.objectives, study.rows()) as display:
            Supervisor(study, crew, n_trials, plan.config["retries"], display, files.write_if_due).run()
        if study.asked() < n_trials:
            say(study.exhausted())
    except BaseException:
        crew.interrupt(ignore)
        files.write()
        write_study_report(plan.folder)
        raise
    finally:
        launcher.close()


def _open_study(plan: Plan, storage: optuna.storages.BaseStorage, leases: Leases) -> Study:
    return Study(
        plan.question,
        plan.folder,
        storage,
        _sampler(plan, storage, leases),
        _race(plan),
        gate=plan.gate,
        replicates=plan.config["replicates"],
        baselines=_baselines(plan),
        evaluation=_evaluation(plan),
        leases=leases,
        scored=plan.config["scores"],
        screen=_screen(plan),
    )


def _sampler(plan: Plan, storage: optuna.storages.BaseStorage, leases: Leases) -> optuna.samplers.BaseSampler:
    settings, seed = plan.config["sampler"], plan.question.seed
    sampler = instantiate_node("sampler", seeded(settings, seed))
    if isinstance(sampler, ProposingSampler | Grid):  # which have a random stream for each trial
        sampler.guide(Guide(plan.question.space, plan.gate.allows))
        return sampler
    # Every start draws from another stream: the first one's numbers would be proposed again.
    studies = [study._study_id for study in storage.get_all_studies()]
    asked = sum(len(storage.get_all_trials(study, deepcopy=False)) for study in studies)
    among = [leases.ordinal] if leases.ordinal else []
    other: optuna.samplers.BaseSampler = instantiate_node("sampler", seeded(settings, seed, asked, *among))
    return other


def _screen(plan: Plan) -> Screen | None:
    screen = read_screen(plan.config["screen"])
    if screen is None or screen.score != PREDICTED:
        return screen
    return PredictedScreen(screen.keep, plan.question.space, plan.question.objectives[0])


def _race(plan: Plan) -> Race | None:
    if not plan.config["rungs"]:
        return None
    settings = instantiate_node("rungs", plan.config["rungs"])
    evaluate_at = plan.reference.parts["trainer"].evaluate_at
    return Race(settings, evaluate_at, plan.question.objectives, plan.question.seed)


def _evaluation(plan: Plan) -> Evaluation | None:
    if plan.evaluator is None:
        return None
    return plan.evaluator.begin(plan.question, plan.composed, plan.gate, plan.folder)


def _baselines(plan: Plan) -> Baselines | None:
    count, pricing = plan.config["baselines"], Pricing(Base(plan.composed))
    return Baselines(plan.gate, pricing, count, plan.question.seed) if count else None


class _Files:
    """Keeps the study's own files, and those that build its best trials again.

    ``best.yaml`` is the best completed trial, of several objectives the front's knee; ``front/`` holds
    every member of the front. They show what the storage holds, and are written again at every start,
    so a kill costs nothing.
    """

    def __init__(self, plan: Plan, study: Study, complete: bool) -> None:
        self.plan = plan
        self.study = study
        self.complete = complete
        self.best: int | None = None
        self._began = time.monotonic()
        self._due = 0.0

    def write_if_due(self) -> bool:
        """Write unless the last time is too near: a thousand trials take tens of milliseconds to write."""
        if time.monotonic() < self._due:
            return False
        self.write()
        return True

    def write(self, finished: bool = False) -> None:
        """Write all files."""
        plan, began = self.plan, time.monotonic()
        seconds = 0.0 if self.complete else began - self._began
        self.study.write(plan.workers, plan.config["n_trials"], plan.sampler, seconds, finished)
        self._due = began + SHARE * (time.monotonic() - began)
        every = self.study.rows()
        rows = [row for row in every if row["state"] == "COMPLETE" and "inherited" not in row]
        best = next(filter(self._is_ours, rows), None)
        if best is not None and best["number"] != self.best:
            self.best = best["number"]
            self._write_experiment(plan.folder / "best.yaml", best)
        if plan.question.several:
            self._write_front([row for row in rows if row["front"] and self._is_ours(row)])

    def _is_ours(self, row: dict[str, Any]) -> bool:
        """Return whether a worker trained a trial; whose value a user has told cannot be trained again."""
        return self.study.values_of(row["number"]) is not None

    def _write_front(self, rows: list[dict[str, Any]]) -> None:
        folder = self.plan.folder / "front"
        folder.mkdir(exist_ok=True)
        wanted = {f"{row['number']}.yaml": row for row in rows}
        for path in folder.glob("*.yaml"):
            if path.name not in wanted:
                path.unlink()
        for name, row in wanted.items():
            if not (folder / name).is_file():
                self._write_experiment(folder / name, row)

    def _write_experiment(self, path: Path, row: dict[str, Any]) -> None:
        plan = self.plan
        told = row.get("values") or {plan.question.objectives[0].name: row["value"]}
        values = ", ".join(f"{name} {value:.6g}" for name, value in told.items())
        title = f"{plan.question.name}, trial {row['number']}: {values}"
        own = self.study.values_of(row["number"])
        assert own is not None  # only what can be trained again has a file
        write_experiment(path, with_values(plan.composed, "train", own), title)
