"""The bench ``inheritance``: do inherited weights find better lists for the same number of steps?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nas.bench.anew import Searches, leaderboard, own
from nas.bench.answers import interval
from nas.bench.base import Bench
from nas.bench.heirs import KINDS, Lineage, agreement, from_scratch
from nas.bench.seeds import won
from nas.errors import InputError, check_positive
from nas.files import read_json
from nas.progress import Say
from nas.search.inheritance import Inherit
from nas.search.plan import Plan

if TYPE_CHECKING:
    from rich.table import Table


class InheritanceBench(Bench):
    """Runs searches with and without inherited weights for the same steps, and trains the winners anew.

    Every trial is trained to its end (``rungs=null``), so that steps can be counted: a search with
    `nas.search.inheritance.Inherit` gets as many more trials as its shorter ones leave room for, those
    that are trained from scratch at its end counted in. Some of its lists, spread evenly over the
    search, are trained from scratch as well: how do their inherited values rank them? Finished searches
    and runs are kept and not repeated.

    Args:
        outputs: folder of the studies and runs.
        cache: folder of prepared data.
        searches: name to overrides, such as ``[sampler=auto, evaluator=inherit]``; the first is the
            yardstick, and inherits nothing.
        seeds: of each search.
        trainings: of the whole budget, that each search's steps amount to.
        ranked: lists of each search with inherited weights that are trained from scratch as well.
        retrained: how often each winner is trained anew.
        workers: processes at a time; with more than one, a search depends on who ends first.
        overrides: of every search.

    Raises:
        InputError: a number is not positive, or there is only one search.
    """

    name: ClassVar[str] = "inheritance"

    def __init__(
        self,
        outputs: str,
        cache: str,
        searches: dict[str, list[str]],
        seeds: int = 5,
        trainings: int = 24,
        ranked: int = 12,
        retrained: int = 2,
        workers: int = 1,
        overrides: list[str] | None = None,
    ) -> None:
        check_positive(seeds=seeds, trainings=trainings, ranked=ranked, retrained=retrained, workers=workers)
        if len(searches) < 2:
            raise InputError(f"bench.searches={list(searches)} must be at least two: a yardstick comes first")
        self.runs = Searches(Path(outputs).expanduser(), Path(cache).expanduser(), retrained, workers)
        self.searches = {name: list(given) for name, given in searches.items()}
        self.seeds, self.trainings, self.ranked = seeds, trainings, ranked
        self.overrides = ["rungs=null", *(overrides or [])]

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Search in every way on every seed; see `Bench`."""
        rows = []
        for number in range(seed, seed + self.seeds):
            row: dict[str, Any] = {"seed": number}
            for name, given in self.searches.items():
                found = row[name] = self._searched(f"{name}-{number}", number, given, report)
                report(
                    f"seed {number}, {name}: {found['value']:.4f}, trained anew {found['mean']:.4f}, "
                    f"{found['lists']} lists, {found['steps']} steps"
                )
            rows.append(row)
        return {"searches": [*self.searches], "rows": rows}

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return a line for each way to search, and what is told of each one beside the first."""
        yardstick, *others = results["searches"]
        lines = [won(results["rows"], name, yardstick, "mean", "the winner trained anew") for name in others]
        return [_table(results), *lines]

    def _searched(self, study: str, seed: int, given: Sequence[str], report: Say) -> dict[str, Any]:
        own_overrides = [*self.overrides, *given]
        plan = self.runs.plan(study, seed, self.trainings, own_overrides)
        heirs = isinstance(plan.evaluator, Inherit)
        if isinstance(plan.evaluator, Inherit):
            plan = self.runs.plan(study, seed, affordable(self.trainings, plan.evaluator), own_overrides)
        found = self.runs.winner(plan, report)
        rows = [row for row in leaderboard(plan) if row["seconds"]]
        steps = {row["number"]: _steps(plan, row["number"]) for row in rows}
        told = {**found, "lists": len({row["hash"] for row in rows}), "steps": sum(steps.values())}
        return {**told, "agreement": self._agreement(plan, rows, steps, report)} if heirs else told

    def _agreement(
        self, plan: Plan, rows: Sequence[dict[str, Any]], steps: Mapping[int, int], report: Say
    ) -> dict[str, float]:
        """Return how inherited values rank some lists, beside their values from scratch."""
        lineage = Lineage(rows, steps)
        chosen = lineage.spread(self.ranked)
        names = {row["number"]: f"{plan.question.name}-list-{row['number']}" for row in chosen}
        runs = {names[row["number"]]: from_scratch(own(plan, row)) for row in chosen}
        values = self.runs.train(plan, runs, report)
        return agreement(lineage, {number: values[name] for number, name in names.items()})


def affordable(trainings: int, evaluator: Inherit) -> int:
    """Return how many trials, all but the first of them with a parent, cost as much as so many trainings."""
    left = trainings - 1 - evaluator.final
    if left < evaluator.share:
        raise InputError(f"bench.trainings={trainings} leaves none to heirs: {evaluator.final} are the last")
    return 1 + int(left / evaluator.share)


def _steps(plan: Plan, number: int) -> int:
    return int(read_json(plan.folder / "trials" / str(number) / "result.json")["steps"])


def _table(results: dict[str, Any]) -> Table:
    from rich.table import Table

    rows = results["rows"]
    table = Table(title=f"means over {len(rows)} seeds, with 95 % intervals", title_justify="left")
    columns = ("search", "lists", "steps", "winner's loss", "trained anew", *KINDS.values())
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left")
    for name in results["searches"]:
        sides = [row[name] for row in rows]
        counts = [f"{sum(side[key] for side in sides) / len(sides):.0f}" for key in ("lists", "steps")]
        losses = [_told([side[key] for side in sides]) for key in ("value", "mean")]
        ranks = [
            _told([side["agreement"][kind] for side in sides]) if "agreement" in sides[0] else ""
            for kind in KINDS
        ]
        table.add_row(name, *counts, *losses, *ranks)
    return table


def _told(values: Sequence[float]) -> str:
    found = interval(values)
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"
