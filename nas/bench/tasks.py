"""The bench ``tasks``: do the tasks tell architectures apart? The questions of ``sweeps/``, answered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nas.bench.answers import judged
from nas.bench.base import Bench
from nas.bench.compared import Comparison, slug
from nas.bench.evidence import Question, candidates_of, meta_run, metric_of, questions, read_question, told
from nas.bench.fleet import Fleet
from nas.bench.winners import candidate_of, cross_evaluate, find_winners, metrics_of
from nas.cores import usable_cores
from nas.errors import InputError, check_positive
from nas.files import write_json
from nas.progress import Say
from nas.provenance import provenance
from nas.tasks.suite import guess

if TYPE_CHECKING:
    from rich.table import Table

LEAST_TRIALS = 4
_VERSIONS = ("python", "torch", "nas")


class TaskBench(Bench):
    """Answers questions by training candidates: learning rates swept, several seeds, equal parameters.

    A question is a sweep with a node ``evidence`` (`nas.config.root.Evidence`). Each candidate is
    trained with every rate on the first seeds, then with its best rate on the others; the rate is
    chosen by validation rows like those of training, the comparison may be by others. Finished runs
    are kept under ``outputs`` and not trained again.

    Args:
        questions: names of sweeps, or paths of their files; null: every packaged one with evidence.
        outputs: folder of the runs.
        cache: folder of prepared data.
        scale: share of each run's steps and of each search's trials; a quick look is 0.1.
        seeds: instead of the questions' own; null: theirs.
        workers: runs at a time, one thread each; null: one for each core.
        record: folder that the answers are written to, such as sweeps/answers; null: none.

    Raises:
        InputError: a number is not positive, or partial runs are to be recorded.
    """

    name: ClassVar[str] = "tasks"

    def __init__(
        self,
        outputs: str,
        cache: str,
        questions: list[str] | None = None,
        scale: float = 1.0,
        seeds: int | None = None,
        workers: int | None = None,
        record: str | None = None,
    ) -> None:
        given = {"bench.seeds": seeds, "bench.workers": workers, "bench.scale": scale}
        check_positive(**{key: value for key, value in given.items() if value is not None})
        if record is not None and scale != 1:
            raise InputError(f"bench.record={record!r} needs bench.scale=1: only whole runs are recorded")
        self.asked = questions
        self.outputs, self.cache = Path(outputs).expanduser(), Path(cache).expanduser()
        self.scale, self.seeds = scale, seeds
        self.workers = workers or usable_cores()
        self.record = Path(record).expanduser() if record is not None else None

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Answer every question; see `Bench`."""
        shared = (f"paths.outputs={self.outputs}", f"paths.cache={self.cache}")
        asked = [read_question(name, shared) for name in (self.asked or questions())]
        answers = []
        for question in asked:
            answer = self._answer(question, seed, report)
            answers.append(answer)
            if self.record is not None:
                self.record.mkdir(parents=True, exist_ok=True)
                write_json(self.record / f"{question.name}.json", answer)
        return {"answers": answers}

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return a table for each question, and what became of its claims; see `Bench`."""
        from nas.bench.evidence_tables import tables_of

        return [part for answer in results["answers"] for part in tables_of(answer)]

    def _answer(self, question: Question, seed: int, report: Say) -> dict[str, Any]:
        found = (
            self._compare(question, seed, report)
            if question.candidates
            else self._search(question, seed, report)
        )
        source = provenance(seed)
        return {
            "question": question.name,
            "text": question.text,
            "seeds": self.seeds or question.seeds,
            "tuned_on": self._tuned_on(question),
            "rates": list(question.rates),
            "scale": self.scale,
            **found,
            "created": source["created"],
            "versions": {name: source["versions"][name] for name in _VERSIONS},
        }

    def _compare(self, question: Question, seed: int, report: Say) -> dict[str, Any]:
        run = meta_run(question.base)
        metric, candidates = metric_of(question, run), candidates_of(question)
        for candidate in candidates:
            size, parameters = candidate.hidden_size, candidate.parameters
            report(f"{question.name}: {candidate.name}: hidden size {size}, {parameters:,} parameters")
        comparison = self._comparison(question, question.name, metric, seed)
        with Fleet(question.base, self._folder(question), self.workers, report) as fleet:
            comparison.train(fleet, {c.name: c.overrides for c in candidates}, report)
        rows = [{**told(c), **comparison.outcome(c.name)} for c in candidates]
        values = {row["candidate"]: row["values"] for row in rows}
        return {
            "metric": metric,
            "task": run.task.name,
            "chance": self._chance(question, metric),
            "steps": self._steps(question),
            "matched": question.matched,
            "rows": rows,
            "claims": [judged(claim, values) for claim in question.claims],
            "run_seconds": round(comparison.seconds(), 1),
        }

    def _search(self, question: Question, seed: int, report: Say) -> dict[str, Any]:
        folder, metrics = self._folder(question), metrics_of(question)
        trials = max(LEAST_TRIALS, round(question.trials * self.scale))
        paths, steps = (f"paths.cache={self.cache}",), self._budget(question)
        winners = find_winners(question, (*paths, *steps), trials, self.workers, folder, report)
        # the search has seen the first seed: others say how good its choice is
        comparisons = {
            task: self._comparison(question, f"{question.name}-{task}", metric, seed + 1)
            for task, metric in metrics.items()
        }
        cross_evaluate(question, winners, comparisons, folder, self.workers, report)
        rows = []
        for task, winner in winners.items():
            name = candidate_of(winners, task)
            cells = {t: {"metric": metrics[t], **c.outcome(name)} for t, c in comparisons.items()}
            rows.append({**winner, "cells": cells})
        searched = sum(winner["seconds"] for winner in winners.values())
        trained = sum(comparison.seconds() for comparison in comparisons.values())
        return {"tasks": list(winners), "winners": rows, "trials": trials,
                "run_seconds": round(searched + trained, 1)}  # fmt: skip

    def _comparison(self, question: Question, title: str, metric: str, first_seed: int) -> Comparison:
        seeds = self.seeds or question.seeds
        shared = self._budget(question)
        return Comparison(title, metric, question.rates, seeds, self._tuned_on(question), shared, first_seed)

    def _tuned_on(self, question: Question) -> int:
        return min(question.tuned_on, self.seeds or question.seeds)

    def _steps(self, question: Question) -> int:
        steps: int = question.base.values()["trainer"]["steps"]
        return max(1, round(steps * self.scale))

    def _budget(self, question: Question) -> tuple[str, ...]:
        return () if self.scale == 1 else (f"trainer.steps={self._steps(question)}",)

    def _folder(self, question: Question) -> Path:
        return self.outputs / (slug(question.name) + ("" if self.scale == 1 else f"-{self.scale:g}"))

    def _chance(self, question: Question, metric: str) -> float | None:
        split, measure = metric.rsplit("/", 1)
        if measure not in ("accuracy", "solved"):
            return None
        task = meta_run(question.base).task
        task.prepare(self.cache, lambda line: None)
        return guess(task, split, measure)  # type: ignore[arg-type]
