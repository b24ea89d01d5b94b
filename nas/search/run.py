"""``nas-search`` from configuration to report: everything is checked before the first trial."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from nas.config.build import NOT_IDENTITY, Run, instantiate_node
from nas.config.compose import Composed, compose, parse, with_values
from nas.config.root import SEARCH_ONLY
from nas.errors import InputError, not_allowed
from nas.files import exclusive
from nas.progress import say
from nas.report.study import write_study_report
from nas.search.crew import Crew, warm_up
from nas.search.display import Display
from nas.search.space import Parameter, Range, Scalar, Slots, Space
from nas.search.study import Question, Study
from nas.search.supervise import Supervisor
from nas.search.winner import write_experiment
from nas.seeding import derive


@dataclass(frozen=True)
class Plan:
    """A checked search that has not begun.

    Attributes:
        config: resolved values of the whole configuration.
        question: what is asked.
        composed: the configuration that all trials share.
        sampler: the sampler's name, for the report.
        folder: of the study.
        reference: the run of the shared configuration, built without memory for weights.
        workers: how many trials run at once.
    """

    config: dict[str, Any]
    question: Question
    composed: Composed
    sampler: str
    folder: Path
    reference: Run
    workers: int


def plan_search(search: Composed) -> Plan:
    """Check a search: its numbers, its space, and every choice by building it on the meta device.

    Raises:
        InputError: all mistakes together.
    """
    config = search.values()
    base = shared_overrides(search)
    composed = compose("train", base)
    space = Space(config["space"])
    mistakes = [*_number_mistakes(config), *choice_mistakes(composed, space)]
    if mistakes:
        raise InputError(*mistakes)
    reference = _build(composed)
    objective = config["objective"] or reference.task.objective
    if objective not in reference.task.metrics:
        raise InputError(not_allowed("objective", objective, reference.task.metrics))
    study = config["study"] or search.choices.get("sweep") or "search"
    question = Question(
        name=Path(study).stem,
        space=space,
        base=tuple(o for o in base if _root(o) not in NOT_IDENTITY),
        objective=objective,
        direction=config["direction"] or reference.task.direction,
        task=reference.task.name,
        seed=config["seed"],
    )
    folder = Path(config["paths"]["outputs"]).expanduser() / question.name
    sampler = search.choices.get("sampler") or "custom"
    return Plan(config, question, composed, sampler, folder, reference, _workers(config, reference))


def search(plan: Plan) -> Path:
    """Run the search to its end and return the study's folder.

    Raises:
        InputError: another process runs this study, or it was made with another space.
        InterruptedRunError: stopped by a signal; the same call continues.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # what it would say, the display says better
    plan.folder.mkdir(parents=True, exist_ok=True)
    with exclusive(
        plan.folder / ".lock", f"study={plan.question.name!r} is being searched by another process"
    ):
        _search_locked(plan)
    return plan.folder


def _search_locked(plan: Plan) -> None:
    study = _open_study(plan)
    n_trials, began, best = plan.config["n_trials"], time.monotonic(), _Best(plan)

    def write(finished: bool = False) -> None:
        study.write(plan.workers, n_trials, plan.sampler, time.monotonic() - began, finished)
        best.update(study.rows())

    write()
    if study.asked() >= n_trials and not any(r["state"] == "RUNNING" for r in study.rows()):
        say(
            f"study {plan.question.name} has {study.asked()} trials already: n_trials={n_trials} is the total"
        )
    else:
        _train_trials(plan, study, write)
    write(finished=True)
    write_study_report(plan.folder)


def _train_trials(plan: Plan, study: Study, write: Any) -> None:
    warm_up()
    plan.reference.task.prepare(Path(plan.config["paths"]["cache"]).expanduser(), say)
    n_trials = plan.config["n_trials"]
    base = (*plan.question.base, *(o for o in plan.composed.overrides if _root(o) in NOT_IDENTITY))
    say(f"{plan.question.name}: {n_trials} trials, {plan.workers} at a time, in {plan.folder}")
    crew = Crew(plan.workers, base)
    try:
        with Display(n_trials, plan.question.objective, study.rows()) as display:
            Supervisor(study, crew, n_trials, plan.config["retries"], display, write).run()
    except BaseException:
        crew.interrupt()
        write()
        write_study_report(plan.folder)
        raise


def _open_study(plan: Plan) -> Study:
    storage = instantiate_node("storage", plan.config["storage"]).open(plan.folder)
    # Every start draws from another stream: the first one's numbers would be proposed again.
    asked = sum(s.n_trials for s in optuna.get_all_study_summaries(storage))
    seed = derive(plan.question.seed, "sampler", asked) % 2**32
    node = plan.config["sampler"]
    sampler = instantiate_node("sampler", {**node, "seed": seed} if "seed" in node else node)
    pruner = plan.config["pruner"] and instantiate_node("pruner", plan.config["pruner"])
    rungs = pruner and pruner.build(plan.config["trainer"]["evaluate_at"])
    return Study(plan.question, plan.folder, storage, sampler, rungs or None)


class _Best:
    """Keeps ``best.yaml`` equal to the best completed trial."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.number: int | None = None

    def update(self, rows: list[dict[str, Any]]) -> None:
        """Write the file anew if another trial leads."""
        row = rows[0] if rows and rows[0]["state"] == "COMPLETE" else None
        if row is None or row["number"] == self.number:
            return
        self.number = row["number"]
        plan = self.plan
        values = row["overrides"][len(plan.question.base) :]
        title = f"{plan.question.name}, trial {row['number']}: {plan.question.objective} {row['value']:.6g}"
        write_experiment(plan.folder / "best.yaml", with_values(plan.composed, "train", values), title)


def shared_overrides(search: Composed) -> list[str]:
    """Return the overrides of a search that its trials have too; the sweep is among them by name."""
    kept = [o for o in search.overrides if _root(o) not in (*SEARCH_ONLY, "study", "sweep")]
    given = [o for o in search.overrides if _root(o) == "sweep"]
    default = [f"sweep={search.choices['sweep']}"] if search.choices.get("sweep") else []
    return [*(given or default), *kept]


def _root(override: str) -> str:
    return str(parse(override).key_or_group).split("@")[0].split(".")[0].split("/")[0]


def choice_mistakes(composed: Composed, space: Space) -> list[str]:
    """Build every choice once on the meta device, and return what is wrong with which."""
    found: dict[str, None] = {}
    for override in probes(space):
        try:
            _build(with_values(composed, "train", [override]))
        except InputError as error:
            key = override.partition("=")[0]
            found.update(dict.fromkeys(m if key in m else f"space: {override}: {m}" for m in error.mistakes))
    return list(found)


def probes(space: Space) -> list[str]:
    """Return one override for every choice of every key, the ends of ranges included."""
    lines = []
    for entry in space.entries:
        parameter = entry.items[0] if isinstance(entry, Slots) else entry
        single = Space.__new__(Space)
        single.entries = [entry]
        for value in _values(parameter):
            lines.extend(single.render(lambda _, value=value: value))  # type: ignore[misc]
    return lines


def _values(parameter: Parameter) -> tuple[Scalar, ...]:
    return (parameter.low, parameter.high) if isinstance(parameter, Range) else parameter.choices


def _build(composed: Composed) -> Run:
    import torch

    with torch.device("meta"):
        return Run(composed)


def _number_mistakes(config: dict[str, Any]) -> list[str]:
    least = {"n_trials": 1, "workers": 1, "retries": 0}
    return [
        f"{key}={config[key]} must be at least {low}"
        for key, low in least.items()
        if config[key] is not None and config[key] < low
    ]


def _workers(config: dict[str, Any], reference: Run) -> int:
    if config["workers"] is not None:
        return int(config["workers"])
    from nas.train.precision import choose_device

    if choose_device(config["trainer"]["device"]).type != "cpu":
        return 1
    return max(1, len(os.sched_getaffinity(0)) // int(config["trainer"]["threads"]))
