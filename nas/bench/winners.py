"""One space searched for several tasks, and every winner trained on every task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.bench.compared import Comparison, slug
from nas.bench.evidence import Question, meta_run, metric_of
from nas.bench.fleet import Fleet
from nas.config.compose import compose, with_values
from nas.errors import InputError, NasError
from nas.files import read_json
from nas.progress import Say
from nas.search.plan import plan_search
from nas.search.run import search

RATE = "optimizer.lr"


def find_winners(
    question: Question, shared: tuple[str, ...], trials: int, workers: int, folder: Path, report: Say
) -> dict[str, dict[str, Any]]:
    """Search the question's space once for each task; finished searches are not repeated.

    Args:
        question: with tasks.
        shared: overrides of every search, the budget among them.
        trials: of each.
        workers: trials at a time.
        folder: where the studies go.
        report: told what happens.

    Returns:
        task to its winner: ``overrides`` without the learning rate, which is tried anew.

    Raises:
        NasError: a search has no trial that was trained to its end.
    """
    winners = {}
    for task, overrides in question.tasks.items():
        report(f"{question.name}: {trials} trials for {task}")
        name = f"{slug(question.name)}-{slug(task)}"
        arguments = [
            f"sweep={_sweep(question)}", "tracker=none", *overrides, *shared, f"study={name}",
            f"n_trials={trials}", f"workers={workers}", f"paths.outputs={folder}",
        ]  # fmt: skip
        plan = plan_search(compose("search", arguments))
        rows = read_json(search(plan) / "leaderboard.json")
        if not rows or rows[0]["state"] != "COMPLETE":
            raise NasError(f"{name}: no trial was trained to its end")
        values = rows[0]["overrides"][len(plan.question.base) :]
        winners[task] = {
            "task": task,
            "objective": plan.question.objectives[0].name,
            "value": rows[0]["value"],
            "trials": len(rows),
            "overrides": [o for o in values if not o.startswith(f"{RATE}=")],
            "search_rate": next(
                (float(o.partition("=")[2]) for o in values if o.startswith(f"{RATE}=")), None
            ),
            "architecture": rows[0]["architecture"],
            "parameters": rows[0]["parameters"],
            "seconds": round(sum(row["seconds"] or 0.0 for row in rows), 1),
        }
    return winners


def cross_evaluate(
    question: Question, winners: dict[str, dict[str, Any]], comparisons: dict[str, Comparison],
    folder: Path, workers: int, report: Say,
) -> None:  # fmt: skip
    """Train every winner on every task, its learning rate found anew there; seeds are other ones.

    Winners of several tasks are trained once; see `candidate_of`.
    """
    candidates = {candidate_of(winners, task): tuple(winners[task]["overrides"]) for task in winners}
    for task, comparison in comparisons.items():
        base = with_values(question.base, "train", question.tasks[task])
        with Fleet(base, folder, workers, report) as fleet:
            comparison.train(fleet, candidates, report)


def candidate_of(winners: dict[str, dict[str, Any]], task: str) -> str:
    """Return the name under which a task's winner is trained: that of the first task with the same one."""
    return next(t for t, other in winners.items() if other["overrides"] == winners[task]["overrides"])


def metrics_of(question: Question) -> dict[str, str]:
    """Return what winners are compared by on each task.

    Raises:
        InputError: a task cannot be built, or has no such metric; all mistakes together.
    """
    found: dict[str, str] = {}
    mistakes: list[str] = []
    for task, overrides in question.tasks.items():
        try:
            found[task] = metric_of(question, meta_run(with_values(question.base, "train", overrides)))
        except InputError as error:
            mistakes.extend(error.mistakes)
    if mistakes:
        raise InputError(*mistakes)
    return found


def _sweep(question: Question) -> str:
    return next(o.partition("=")[2] for o in question.base.overrides if o.startswith("sweep="))
