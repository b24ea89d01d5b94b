"""A search whose winner is trained anew: its own loss is that of a lucky run to some part."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.bench.answers import value_of
from nas.bench.fleet import Fleet, Job
from nas.config.compose import compose
from nas.errors import InputError, NasError
from nas.files import read_json
from nas.progress import Say
from nas.search.plan import Plan, plan_search

ANEW = 1000
"""Winners are trained anew with seeds from here on: the search has seen the lower ones."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Searches:
    """Runs searches, and trains what they find from scratch; what is finished is kept and not repeated.

    Attributes:
        outputs: folder of the studies and runs.
        cache: folder of prepared data.
        retrained: how often each winner is trained anew.
        workers: processes at a time.
    """

    outputs: Path
    cache: Path
    retrained: int
    workers: int

    def plan(self, study: str, seed: int, trials: int, overrides: Iterable[str]) -> Plan:
        """Return a search of so many trials, without a tracker."""
        own = [f"seed={seed}", f"study={study}", f"n_trials={trials}", f"workers={self.workers}"]
        places = [f"paths.outputs={self.outputs}", f"paths.cache={self.cache}"]
        return plan_search(compose("search", [*own, "tracker=none", *places, *overrides]))

    def winner(self, plan: Plan, report: Say) -> dict[str, Any]:
        """Search, and return the winner with its losses anew.

        Raises:
            InputError: the search has not one loss as its objective.
            NasError: it has no trial that was trained to its end.
        """
        from nas.search.run import search

        if plan.question.several or plan.question.objectives[0].direction != "minimize":
            raise InputError(
                f"objective: {plan.question.in_words()} must be one loss: the smaller the better"
            )
        folder = search(plan)
        winner = leaderboard(plan)[0]
        if winner["state"] != "COMPLETE" or "inherited" in winner:
            raise NasError(f"{plan.question.name}: no trial was trained to its end from scratch")
        anew = {
            f"{plan.question.name}-{seed}": (*own(plan, winner), f"seed={seed}")
            for seed in range(ANEW, ANEW + self.retrained)
        }
        values = [*self.train(plan, anew, report).values()]
        return {
            "value": winner["value"],
            "values": values,
            "mean": statistics.fmean(values),
            "architecture": winner["architecture"],
            "parameters": winner["parameters"],
            "overrides": own(plan, winner),
            "seconds": read_json(folder / "study.json").get("seconds"),
        }

    def train(self, plan: Plan, runs: Mapping[str, Sequence[str]], report: Say) -> dict[str, float]:
        """Train configurations from scratch; return the loss of each.

        Args:
            plan: of their search.
            runs: name, of all runs of this bench, to overrides.
            report: told what happens.
        """
        jobs = [Job(name, tuple(overrides)) for name, overrides in runs.items()]
        with Fleet(plan.composed, self.outputs / "anew", self.workers, report) as fleet:
            results = fleet.train(jobs, lambda job, result: None)
        return {job.name: value_of(results[job.name], plan.question.objectives[0].name) for job in jobs}


def leaderboard(plan: Plan) -> list[dict[str, Any]]:
    """Return the rows of a finished search."""
    rows: list[dict[str, Any]] = read_json(plan.folder / "leaderboard.json")
    return rows


def own(plan: Plan, row: Row) -> list[str]:
    """Return the overrides of a row that the search's trials do not share."""
    return list(row["overrides"][len(plan.question.base) :])
