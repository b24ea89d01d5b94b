"""What a trial is judged by: metrics of its task, and costs that are known before it is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nas.errors import InputError, not_allowed
from nas.search.constraints import MEASURES
from nas.tasks.scoring import direction_of

if TYPE_CHECKING:
    from nas.search.match import Match

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Objective:
    """One number of a trial, and which way it gets better.

    Attributes:
        name: a metric of the task, or one of `nas.search.constraints.MEASURES`.
        direction: ``minimize`` or ``maximize``.
    """

    name: str
    direction: Direction

    @property
    def sign(self) -> int:
        """1 to minimize, -1 to maximize."""
        return 1 if self.direction == "minimize" else -1

    @property
    def is_cost(self) -> bool:
        """Whether it is known before training."""
        return self.name in MEASURES


Objectives = tuple[Objective, ...]


def read_objectives(
    named: str | Sequence[str] | None,
    directions: Direction | Sequence[Direction] | None,
    own: tuple[str, Direction],
    metrics: Sequence[str],
    match: Match | None = None,
) -> Objectives:
    """Return the objectives of a search.

    Args:
        named: as configured; None: the task's own.
        directions: as configured; None: each as it gets better, costs downwards.
        own: the task's objective and its direction.
        metrics: of the task.
        match: the cost that is held, if any.

    Raises:
        InputError: one sentence for each mistake.
    """
    names = [own[0]] if named is None else [named] if isinstance(named, str) else list(named)
    allowed = (*metrics, *MEASURES)
    mistakes = [not_allowed("objective", name, allowed) for name in names if name not in allowed]
    twice = dict.fromkeys(name for name in names if names.count(name) > 1)
    mistakes += [f"objective={name!r} is named more than once" for name in twice]
    if not names:
        mistakes.append("objective=[] must name at least one metric, or be null for the task's own")
    if names and all(name in MEASURES for name in names):
        mistakes.append(f"objective={_told(named)} names costs alone: name a metric too, such as {own[0]}")
    if match is not None and match.measure in names:
        mistakes.append(f"objective={match.measure!r} is held by match: take it out of one of them")
    wanted = _directions(directions, names, own, mistakes)
    if mistakes:
        raise InputError(*mistakes)
    return tuple(Objective(name, wanted[name]) for name in names)


def _directions(
    given: Direction | Sequence[Direction] | None,
    names: list[str],
    own: tuple[str, Direction],
    mistakes: list[str],
) -> dict[str, Direction]:
    if given is None:
        found: dict[str, Direction] = {n: "minimize" if n in MEASURES else direction_of(n) for n in names}
        return {**found, **({own[0]: own[1]} if own[0] in names else {})}
    each: list[Direction] = [given] if isinstance(given, str) else list(given)
    if len(each) != len(names):
        mistakes.append(f"direction={_told(given)} must hold {len(names)}, one for each objective: {names}")
    return dict(zip(names, each, strict=False))


def _told(given: Any) -> str:
    return repr(given) if given is None or isinstance(given, str) else repr(list(given))


def values_of(
    objectives: Objectives, metrics: Mapping[str, float], costs: Mapping[str, float]
) -> tuple[float, ...] | None:
    """Return the objectives' values, or None if one was not measured.

    Args:
        objectives: of a search.
        metrics: of an evaluation.
        costs: that were known before.
    """
    found = [(costs if o.is_cost else metrics).get(o.name) for o in objectives]
    return tuple(v for v in found if v is not None) if None not in found else None


def unmeasured(
    objectives: Objectives, metrics: Mapping[str, float], costs: Mapping[str, float]
) -> str | None:
    """Say which objective of a finished run has no number, if one has none."""
    for objective in objectives:
        value = (costs if objective.is_cost else metrics).get(objective.name)
        if value is None:
            return f"{objective.name} was not measured"
        if not math.isfinite(value):
            return f"{objective.name} is {value}"
    return None


def signed(objectives: Objectives, values: Sequence[float]) -> list[float]:
    """Return values such that small is good."""
    return [objective.sign * value for objective, value in zip(objectives, values, strict=True)]
