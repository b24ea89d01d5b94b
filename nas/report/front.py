"""The Pareto front of a study with several objectives: its members, its knee and its hypervolume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas import pareto
from nas.report.found import Study, Trial
from nas.report.words import value_text


@dataclass(frozen=True)
class Front:
    """The trials that no other one dominates.

    Attributes:
        members: along the first objective, its best first; of equal ones the first.
        knee: the one that gives up least of everything.
        count: trials that were trained to their end.
        reference: the point from which the hypervolume is measured, by objective.
        growth: (trial number, hypervolume of the front by then), as shares of the box between the best
            value of every objective and the reference point.
    """

    members: tuple[Trial, ...]
    knee: Trial
    count: int
    reference: tuple[float, ...]
    growth: tuple[tuple[float, float], ...]

    @property
    def hypervolume(self) -> float:
        """The share of the box that the front dominates."""
        return self.growth[-1][1]


def find_front(study: Study) -> Front | None:
    """Return the front of a study of several objectives; None of one, or while no trial has a value."""
    trials = sorted((t for t in study.measured if complete(study, t)), key=lambda t: t.number)
    if len(study.objectives) < 2 or not trials:
        return None
    values = [signed(study, trial) for trial in trials]
    places = sorted(pareto.front(values), key=lambda i: (values[i], i))
    members = list({tuple(values[i]): trials[i] for i in reversed(places)}.values())[::-1]
    points = [signed(study, trial) for trial in members]
    reference = pareto.reference_point(points)
    knee = members[pareto.knee(points)]
    told = [objective.sign * limit for objective, limit in zip(study.objectives, reference, strict=True)]
    return Front(
        tuple(members), knee, len(trials), tuple(told), tuple(_growth(trials, values, points, reference))
    )


def complete(study: Study, trial: Trial) -> bool:
    """Return whether a trial has a number for every objective."""
    return all(trial.values.get(objective.name) is not None for objective in study.objectives)


def signed(study: Study, trial: Trial) -> list[float]:
    """Return a trial's objectives such that small is good."""
    return [objective.sign * trial.values[objective.name] for objective in study.objectives]


def _growth(
    trials: Sequence[Trial],
    values: Sequence[Sequence[float]],
    points: Sequence[Sequence[float]],
    reference: Sequence[float],
) -> list[tuple[float, float]]:
    box = 1.0
    for limit, column in zip(reference, zip(*points, strict=True), strict=True):
        box *= limit - min(column)
    kept: list[Sequence[float]] = []
    told = []
    for trial, row in zip(trials, values, strict=True):
        kept = [*kept, row]
        kept = [kept[i] for i in pareto.front(kept)]
        told.append((float(trial.number), pareto.hypervolume(kept, reference) / box))
    return told


def sentences(study: Study, front: Front) -> list[str]:
    """Say in plain sentences what the front is, what its knee gives up, and what that cannot show."""
    count = len(front.members)
    names = [objective.name for objective in study.objectives]
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    first = (
        f"{count} of {front.count} trained trials {'is' if count == 1 else 'are'} on the Pareto front: "
        f"no other one is at least as good in {listed}, and better in one of them."
    )
    values = [f"{name} {value_text(front.knee.values[name])}" for name in names]
    knee = (
        f"Suggested: the knee, trial {front.knee.number} ({', '.join(values)}). It lies farthest below the "
        "plane through the ends of the front, every objective scaled to 0 .. 1 over the front (Das 1999)."
    )
    limits = [f"{name} {value_text(limit)}" for name, limit in zip(names, front.reference, strict=True)]
    volume = (
        f"The front dominates {front.hypervolume:.1%} of the box between the best value of every objective "
        f"and the reference point ({', '.join(limits)}), a tenth of the front's extent beyond its worst "
        "values."
    )
    caution = (
        "Each trial was trained once, with one seed: where members of the front lie close together, "
        "chance may have decided which of them is on it."
    )
    return [first, knee, volume, caution]
