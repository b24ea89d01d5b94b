"""What one side of the bench ``search`` found, and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypedDict

from optuna.trial import FrozenTrial, TrialState

from nas.bench.turns import Side
from nas.search.leaderboard import REFUSED, RESULT
from nas.search.rungs.reports import is_paused

Clock = Literal["wall", "cpu"]
"""``wall``: seconds that a side had the cores; ``cpu``: its processor time for each of them."""
CLOCKS: tuple[Clock, Clock] = ("wall", "cpu")
Kind = Literal["completed", "evaluated"]
"""``completed``: trials that were trained to their end; ``evaluated``: every evaluation of every trial."""


class Found(TypedDict):
    """What a side found; times are in seconds since its command was started.

    Attributes:
        wall: seconds in all.
        cpu: seconds of processor time for each core.
        began: when the first trial began, on both clocks: until then it imported.
        candidates: trials that were trained, stopped ones too.
        completed: trials that were trained to their end: loss, and when, on both clocks.
        evaluated: the same of every evaluation, of trials that go on or were stopped too.
    """

    wall: float
    cpu: float
    began: dict[str, float]
    candidates: int
    completed: list[dict[str, float]]
    evaluated: list[dict[str, float]]


def found_by(trials: Sequence[FrozenTrial], side: Side, seen: Iterable[tuple[float, float]] = ()) -> Found:
    """Return what a side's study holds; what was answered without training is no candidate.

    Args:
        trials: of the study.
        side: whose clocks count.
        seen: (moment, loss) of evaluations before a trial's end; see `nas.bench.watching.Watch`.
    """
    over = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED) or is_paused(t)]
    trained = [t for t in over if _trained(t)]
    starts = [t.datetime_start.timestamp() for t in trials if t.datetime_start is not None]
    completed = [
        (t.datetime_complete.timestamp(), float(t.value))
        for t in trained
        if t.state is TrialState.COMPLETE and t.value is not None and t.datetime_complete is not None
    ]
    return {
        "wall": side.wall,
        "cpu": side.cpu,
        "began": _when(min(starts), side) if starts else {"wall": side.wall, "cpu": side.cpu},
        "candidates": len(trained),
        "completed": _in_order(completed, side),
        "evaluated": _in_order([*completed, *seen], side),
    }


def best(
    found: Found, until: float | None = None, clock: Clock = "wall", of: Kind = "completed"
) -> float | None:
    """Return the lowest loss, of all or of what was there after so many seconds."""
    return min((row["loss"] for row in found[of] if until is None or row[clock] <= until), default=None)


def reached(found: Found, loss: float | None, clock: Clock = "wall", of: Kind = "completed") -> float | None:
    """Return after how many seconds a loss was reached, or None."""
    if loss is None:
        return None
    return next((row[clock] for row in found[of] if row["loss"] <= loss), None)


def sooner(
    ours: Found, rival: Found, clock: Clock = "wall", imports: bool = True, of: Kind = "completed"
) -> float | None:
    """Return how many times sooner we reach the rival's final loss than it did itself.

    Args:
        ours, rival: of one seed.
        clock: that both are timed by.
        imports: count from the command's start, and not from the first trial's.
        of: what counts on both sides.
    """
    loss = best(rival, of=of)
    times = [reached(ours, loss, clock, of), reached(rival, loss, clock, of)]
    if times[0] is None or times[1] is None:
        return None
    start = [0.0, 0.0] if imports else [ours["began"][clock], rival["began"][clock]]
    return (times[1] - start[1]) / max(times[0] - start[0], 1e-9)


def per_hour(found: Found, clock: Clock = "wall") -> float:
    """Return candidates in an hour on all cores, imports included."""
    return 3600 * found["candidates"] / max(found[clock], 1e-9)


def told(row: dict[str, Any]) -> str:
    """Say what both sides of one seed found."""
    sides = [
        f"{name}: {_loss(best(found))}, {found['candidates']} candidates in {found['wall']:.0f} s"
        for name, found in row.items()
    ]
    return "; ".join(sides)


def _trained(trial: FrozenTrial) -> bool:
    result = trial.user_attrs.get(RESULT)
    return REFUSED not in trial.user_attrs and (result is None or bool(result.get("seconds")))


def _in_order(losses: Iterable[tuple[float, float]], side: Side) -> list[dict[str, float]]:
    """Return (moment, loss) by time on both clocks."""
    rows = [{"loss": loss, **_when(moment, side)} for moment, loss in losses]
    return sorted(rows, key=lambda row: row["wall"])


def _when(moment: float, side: Side) -> dict[str, float]:
    return {"wall": side.wall_at(moment), "cpu": side.cpu_at(moment)}


def _loss(value: float | None) -> str:
    return "no trial trained to its end" if value is None else f"loss {value:.4f}"


def numbers(values: Iterable[float | None]) -> list[float]:
    """Return the values that are there."""
    return [value for value in values if value is not None]
