"""The contract of a tracker: it is told of a run's start, its metrics and its end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.configured import Configured


@dataclass(frozen=True)
class RunInfo:
    """What a tracker may show of a run before its first step.

    Attributes:
        name: the run's name, unique within its group.
        group: the study or experiment that the run belongs to.
        job_type: ``train``, ``trial``, ``ablation`` or ``final``.
        folder: where the tracker may keep files of its own.
        config: the resolved configuration, and flat keys such as ``arch/slot_02``.
        tags: families that runs are filtered by.
        picture: the architecture as SVG.
        identity: stays the same when an interrupted run continues.
    """

    name: str
    group: str
    job_type: str
    folder: Path
    identity: str
    config: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    picture: str = ""


class Tracker(Configured, ABC):
    """Receives the events of one run; may be used for several runs in turn."""

    @abstractmethod
    def start(self, info: RunInfo) -> None:
        """A run begins, or continues."""

    @abstractmethod
    def log(self, metrics: dict[str, float]) -> None:
        """One row of ``metrics.jsonl``; ``step`` is among the keys."""

    @abstractmethod
    def finish(self, summary: dict[str, Any]) -> None:
        """The run ended; ``summary`` holds its status and result."""

    def abandon(self) -> None:
        """The tracker did not answer and is left: whatever could hold up the end of the process goes."""
