"""The rows of the report's tables: leaderboard, blocks by position, failures."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.report.found import Run, Study, Trial
from nas.report.front import Front
from nas.strip import ROLE_COLOURS, label_width, strip

Slots = list[Mapping[str, Any]]


@dataclass(frozen=True)
class LeaderboardRow:
    """A trial with its place among the measured ones, its difference to the best, and its picture.

    Attributes:
        rank: from 1; of several objectives in the leaderboard's order. None: it was not measured.
        place: what its first column says: the rank, or of several objectives whether it is of the front.
        best: whether it is marked: the winner, or every member of the front.
        values_shown: for each objective.
    """

    rank: int | None
    place: str
    best: bool
    trial: Trial
    values_shown: tuple[float | None, ...]
    to_best: float | None
    picture: str


@dataclass(frozen=True)
class BlockRow:
    """One block's mean value (and count) at every position, and its colour's role."""

    label: str
    role: str
    cells: tuple[BlockCell | None, ...]


@dataclass(frozen=True)
class BlockCell:
    """The mean value of the trials that have this block here; ``shade`` is 1 for the best of the table."""

    mean: float
    count: int
    shade: float


def slots_of(trial: Trial | Run, roles: Mapping[str, str]) -> Slots:
    """Return a trial's slots: as described, or else read from the one-line string.

    Args:
        trial: a trial or a run.
        roles: label -> role, for slots that only the string tells of.
    """
    if trial.description is not None:
        return list(trial.description["slots"])
    return _slots_of_string(trial.architecture, roles)


def _slots_of_string(architecture: str, roles: Mapping[str, str]) -> Slots:
    """Read ``mha-=mha-layer*3``: ``=`` marks a module used again, ``*`` one used several times in a row."""
    slots: Slots = []
    first: dict[str, int] = {}
    for word in filter(None, architecture.split("-")):
        label, _, times = word.removeprefix("=").partition("*")
        for turn in range(int(times) if times.isdecimal() else 1):
            again = word.startswith("=") or turn > 0
            shared = first.get(label) if again else None
            if shared is None:
                first[label] = len(slots)
            slots.append({"label": label, "role": roles.get(label, ""), "shared_with": shared})
    return slots


def known_roles(trials: Sequence[Trial | Run]) -> dict[str, str]:
    """Return label -> role, as far as the described architectures tell."""
    return {
        str(slot.get("label")): str(slot.get("role"))
        for trial in trials
        if trial.description is not None
        for slot in trial.description["slots"]
    }


def legend(trials: Sequence[Trial | Run]) -> dict[str, str]:
    """Return role -> colour for the roles that occur."""
    used = set(known_roles(trials).values())
    return {role: colour for role, colour in ROLE_COLOURS.items() if role in used}


def pictures(trials: Sequence[Trial | Run]) -> list[str]:
    """Return a strip for every trial, all with equally wide slots so that positions line up."""
    roles = known_roles(trials)
    every = [slots_of(trial, roles) for trial in trials]
    width = label_width([slot for slots in every for slot in slots])
    return [strip(slots, compact=True, slot_width=width) if slots else "" for slots in every]


def leaderboard(study: Study, front: Front | None = None) -> list[LeaderboardRow]:
    """Return every trial, best first; repeats and trials without a value have no rank.

    Args:
        study: with its trials in order.
        front: of several objectives, once there is one.
    """
    members = {trial.number for trial in front.members} if front else set()
    ranks = {trial.number: rank for rank, trial in enumerate(study.measured, start=1)}
    best = study.measured[0].value if study.measured else None
    rows = []
    for trial, picture in zip(study.trials, pictures(study.trials), strict=True):
        to_best = None
        if best is not None and not study.several and trial.state == "COMPLETE" and trial.value is not None:
            to_best = trial.value - best
        rank = ranks.get(trial.number)
        place = "" if rank is None else str(rank)
        if study.several:
            place = "front" if trial.number in members else ""
            place = "knee" if front and trial.number == front.knee.number else place
        values = (
            tuple(trial.values.get(o.name) for o in study.objectives) if study.several else (trial.value,)
        )
        marked = bool(place) if study.several else rank == 1
        rows.append(LeaderboardRow(rank, place, marked, trial, values, to_best, picture))
    return rows


def blocks_by_position(study: Study) -> list[BlockRow]:
    """Return the mean value for every block and position over trials that were trained to their end."""
    roles = known_roles(study.trials)
    values: dict[str, dict[int, list[float]]] = {}
    for trial in study.measured:
        # A string leaves out empty slots, so positions are known from a description only.
        for place, slot in enumerate(trial.description["slots"] if trial.description else ()):
            found = values.setdefault(str(slot.get("label", "?")), {})
            found.setdefault(place, []).append(trial.value or 0.0)
    places = max((place + 1 for found in values.values() for place in found), default=0)
    # A mean over one trial says too little to set the colours' ends.
    means = [statistics.fmean(v) for found in values.values() for v in found.values() if len(v) > 1]
    low, high = (min(means), max(means)) if means else (0.0, 0.0)

    def cell(found: Sequence[float] | None) -> BlockCell | None:
        if not found:
            return None
        mean = statistics.fmean(found)
        share = (mean - low) / (high - low) if high > low and len(found) > 1 else 0.0
        good = (1 - share if study.minimize else share) if high > low and len(found) > 1 else 0.0
        return BlockCell(mean, len(found), good)

    by_role = sorted(values, key=lambda label: (roles.get(label, "~"), label))
    return [
        BlockRow(label, roles.get(label, ""), tuple(cell(values[label].get(i)) for i in range(places)))
        for label in by_role
    ]


def failures(study: Study) -> list[tuple[str, list[int]]]:
    """Return each reason with the trials that failed for it, the most frequent first."""
    found: dict[str, list[int]] = {}
    for trial in study.trials:
        if trial.state == "FAIL":
            found.setdefault(trial.reason or "no reason recorded", []).append(trial.number)
    return sorted(
        ((reason, sorted(numbers)) for reason, numbers in found.items()), key=lambda p: (-len(p[1]), p[0])
    )
