"""What a report tells of: a study with its trials, a run, a curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STATES = ("COMPLETE", "PRUNED", "PAUSED", "RUNNING", "FAIL")
Curve = list[tuple[float, float]]
"""(step, value), by step."""


@dataclass(frozen=True)
class Objective:
    """What trials are judged by, and whether less of it is better."""

    name: str
    minimize: bool

    @property
    def sign(self) -> int:
        """1 to minimize, -1 to maximize."""
        return 1 if self.minimize else -1


@dataclass(frozen=True)
class Trial:
    """One row of a leaderboard, with the architecture that its run folder describes.

    Of a study with several objectives ``value`` is the first one's, and ``values`` has all by name.
    """

    number: int
    state: str
    value: float | None
    architecture: str
    hash: str
    overrides: tuple[str, ...]
    parameters: float | None
    flops: float | None
    seconds: float | None
    reason: str
    folder: Path
    description: Mapping[str, Any] | None = None
    inherited: bool = False
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What it is, in one line: its architecture, or its overrides where there is none."""
        return self.architecture or " ".join(self.overrides)

    @property
    def repeated(self) -> bool:
        """Whether the value was taken over from an equal trial, and not measured again."""
        return "same as trial" in self.reason

    @property
    def measured(self) -> bool:
        """Whether this trial was trained to its end, from scratch, and has a value of its own."""
        own = not self.repeated and not self.inherited
        return self.state == "COMPLETE" and self.value is not None and own


@dataclass(frozen=True)
class Study:
    """A study folder: what was asked, where it stands, and its trials, best first.

    Of several objectives the first one's name and direction stand in ``objective`` and ``minimize``.
    """

    folder: Path
    name: str
    objectives: tuple[Objective, ...]
    task: str
    n_trials: int | None
    finished: bool
    seconds: float | None
    trials: tuple[Trial, ...]
    overrides: tuple[str, ...] = ()
    space: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def objective(self) -> str:
        """The name of the first objective."""
        return self.objectives[0].name

    @property
    def minimize(self) -> bool:
        """Whether a lower value is better."""
        return self.objectives[0].minimize

    @property
    def several(self) -> bool:
        """Whether there is more than one objective."""
        return len(self.objectives) > 1

    @property
    def measured(self) -> list[Trial]:
        """The trials that were trained to their end, best first."""
        return [trial for trial in self.trials if trial.measured]


@dataclass(frozen=True)
class Run:
    """A run folder: its result, once there is one, and its architecture."""

    folder: Path
    name: str
    status: str
    task: str
    metrics: Mapping[str, float]
    architecture: str
    parameters: float | None
    flops: float | None
    tokens_per_second: float | None
    seconds: float | None
    seed: str
    reason: str
    description: Mapping[str, Any] | None
