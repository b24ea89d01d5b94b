"""``nas-search`` from a checked plan to the report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import optuna

from nas.config.build import instantiate_node
from nas.config.compose import with_values
from nas.files import exclusive
from nas.progress import say
from nas.report.study import write_study_report
from nas.search.crew import Crew, ignore, warm_up
from nas.search.display import Display
from nas.search.plan import Plan
from nas.search.study import Study
from nas.search.supervise import Supervisor
from nas.search.winner import write_experiment
from nas.seeding import derive


def search(plan: Plan) -> Path:
    """Run the search to its end and return the study's folder.

    Raises:
        InputError: another process runs this study, or it was made with another space.
        InterruptedRunError: stopped by a signal; the same call continues.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # what it would say, the display says better
    plan.reference.try_inputs(say)  # once, for all workers, and before there is a folder
    plan.folder.mkdir(parents=True, exist_ok=True)
    with exclusive(
        plan.folder / ".lock", f"study={plan.question.name!r} is being searched by another process"
    ):
        _search_locked(plan)
    return plan.folder


def _search_locked(plan: Plan) -> None:
    study = _open_study(plan)
    n_trials, began, best = plan.config["n_trials"], time.monotonic(), _Best(plan)
    complete = study.asked() >= n_trials and not any(r["state"] == "RUNNING" for r in study.rows())

    def write(finished: bool = False) -> None:
        seconds = 0.0 if complete else time.monotonic() - began
        study.write(plan.workers, n_trials, plan.sampler, seconds, finished)
        best.update(study.rows())

    if complete:
        say(
            f"study {plan.question.name} has {study.asked()} trials already: n_trials={n_trials} is the total"
        )
    else:
        write()
        _train_trials(plan, study, write)
    write(finished=True)
    write_study_report(plan.folder)


def _train_trials(plan: Plan, study: Study, write: Any) -> None:
    warm_up()
    n_trials = plan.config["n_trials"]
    say(f"{plan.question.name}: {n_trials} trials, {plan.workers} at a time, in {plan.folder}")
    crew = Crew(plan.workers, plan.composed.overrides)
    try:
        with Display(n_trials, plan.question.objective, study.rows()) as display:
            Supervisor(study, crew, n_trials, plan.config["retries"], display, write).run()
    except BaseException:
        crew.interrupt(ignore)
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
    rungs = pruner and pruner.build(plan.reference.parts["trainer"].evaluate_at)
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
        values = row["overrides"][-len(plan.question.space.entries) :]
        title = f"{plan.question.name}, trial {row['number']}: {plan.question.objective} {row['value']:.6g}"
        write_experiment(plan.folder / "best.yaml", with_values(plan.composed, "train", values), title)
