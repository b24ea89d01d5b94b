"""Trials of one architecture with several seeds: when they are due, and the noise that they show."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nas import pareto
from nas.search.objectives import Objectives, signed

Values = tuple[float, ...]
"""A trial's objectives."""

REPLICATE = "replicate"
"""The user attribute of a trial that trains another one's architecture again, with another seed."""

FIRST, EVERY, BEST = 8, 3, 3
"""From so many trials on, one in so many trains one of the so many best again."""


@dataclass(frozen=True)
class Noise:
    """How much chance moves an objective.

    Attributes:
        objective: its name.
        deviation: pooled standard deviation of trials that differ in their seed alone.
        architectures: how many were trained more than once.
        runs: of them in all.
    """

    objective: str
    deviation: float
    architectures: int
    runs: int

    def told(self) -> dict[str, Any]:
        """Return it as ``study.json`` holds it."""
        return asdict(self)

    def in_words(self) -> str:
        """Return it as a sentence."""
        architectures = f"{self.architectures} architecture{'s' * (self.architectures > 1)}"
        return (
            f"Runs that differ in their seed alone spread by {self.deviation:.3g} in {self.objective} "
            f"(standard deviation, {self.runs} runs of {architectures})."
        )


def root_of(trial: FrozenTrial) -> int:
    """Return the number of the trial that was the first of its architecture."""
    told: dict[str, int] = trial.user_attrs.get(REPLICATE, {})
    return told.get("of", trial.number)


def groups(trials: Iterable[FrozenTrial], twins: Iterable[int] = ()) -> dict[int, list[Values]]:
    """Return the values of each architecture's runs by the number of its first trial.

    Args:
        trials: of the study.
        twins: numbers of those that were answered from another trial.
    """
    skipped = set(twins)
    found: dict[int, list[Values]] = {}
    for trial in trials:
        if trial.state is TrialState.COMPLETE and trial.values and trial.number not in skipped:
            found.setdefault(root_of(trial), []).append(tuple(trial.values))
    return found


def mean(runs: Sequence[Values]) -> Values:
    """Return the mean of each objective over runs."""
    return tuple(statistics.fmean(column) for column in zip(*runs, strict=True))


def noise(values: Iterable[Sequence[Values]], objectives: Objectives) -> list[Noise]:
    """Return the noise of every objective within groups of runs; nothing where no group has two."""
    several = [group for group in values if len(group) > 1]
    if not several:
        return []
    freedom = sum(len(group) - 1 for group in several)
    found = []
    for index, objective in enumerate(objectives):
        columns = [[run[index] for run in group] for group in several]
        variance = sum(statistics.variance(column) * (len(column) - 1) for column in columns) / freedom
        if not objective.is_cost:  # which is equal for all seeds
            found.append(Noise(objective.name, math.sqrt(variance), len(several), sum(map(len, several))))
    return found


def due(
    found: dict[int, list[Values]], started: dict[int, int], asked: int, times: int, objectives: Objectives
) -> int | None:
    """Return the trial whose architecture is trained again next, if one is due.

    One of the best is, now and then: the winner shall not be one by luck.

    Args:
        found: values by first trial, see `groups`.
        started: how many trials of each are there, running ones included.
        asked: how many trials there are.
        times: how often an architecture is trained at most.
        objectives: of the study.
    """
    if times < 2 or asked < FIRST or asked % EVERY or not found:
        return None
    roots = sorted(found)
    order = pareto.order([signed(objectives, mean(found[root])) for root in roots])
    best = [roots[i] for i in order[:BEST]]
    return next((root for root in best if started.get(root, 1) < times), None)


def ranked(
    rows: list[dict[str, Any]], trials: Sequence[FrozenTrial], objectives: Objectives
) -> list[dict[str, Any]]:
    """Return rows with the mean and the number of runs of their architecture.

    Of one objective the best mean comes first; of several, rows keep their order.
    """
    by_number = {trial.number: trial for trial in trials}
    twins = [row["number"] for row in rows if "same as trial" in str(row["reason"])]
    found = groups(trials, twins)
    told = []
    for row in rows:
        runs = found.get(root_of(by_number[row["number"]]), [])
        complete = row["state"] == "COMPLETE"
        own = row["values"].values() if complete and row.get("values") else [row["value"]]
        means = (mean(runs) if runs else tuple(own)) if complete else None
        told.append({**row, **_means(means, objectives), "runs": len(runs) if complete and runs else None})
    if len(objectives) > 1:
        return told
    done = [row for row in told if row["mean"] is not None]
    done.sort(key=lambda row: (objectives[0].sign * row["mean"], row["number"]))
    return [*done, *(row for row in told if row["mean"] is None)]


def _means(means: Values | None, objectives: Objectives) -> dict[str, Any]:
    if len(objectives) == 1:
        return {"mean": means[0] if means else None}
    return {"means": {o.name: m for o, m in zip(objectives, means, strict=True)} if means else None}
