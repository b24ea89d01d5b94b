"""What the best trials of a search over a suite score on each of its members."""

from __future__ import annotations

from dataclasses import dataclass

from nas.report.found import Study, Trial
from nas.report.read import read_run

SCORE, SUFFIX = "val/score", "/score"
"""The metric of a suite, and how those of its members end."""
_MOST = 10


@dataclass(frozen=True)
class MemberScores:
    """A trial with the scores of its members, in their order."""

    trial: Trial
    mean: float
    scores: tuple[float, ...]


def member_scores(study: Study) -> tuple[tuple[str, ...], list[MemberScores]]:
    """Return the members' names and the best trials with their scores; nothing for another task."""
    names: tuple[str, ...] = ()
    rows = []
    for trial in study.measured[:_MOST]:
        metrics = read_run(trial.folder, str(trial.number)).metrics
        if SCORE not in metrics:
            continue
        names = tuple(n.removesuffix(SUFFIX) for n in metrics if n.endswith(SUFFIX) and n != SCORE)
        scores = tuple(metrics[f"{name}{SUFFIX}"] for name in names)
        rows.append(MemberScores(trial, metrics[SCORE], scores))
    return names, rows
