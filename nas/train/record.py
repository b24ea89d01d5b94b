"""What a single run and a suite keep and tell alike: whose the folder is, what it holds, how it ended."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.drawing.picture import drawing
from nas.errors import InputError, PausedRunError
from nas.files import exclusive, read_json, write_json, write_text
from nas.provenance import changed_data, provenance
from nas.track.base import RunInfo, Tracker
from nas.track.jsonl import MetricsFile
from nas.train.folder import LOCK, claim, tracker_id
from nas.train.result import RunResult

PROVENANCE = "provenance.json"
PATIENCE = 10.0
"""Seconds to wait for another process that is leaving the same run folder."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a run folder and a tracker are told of, whatever is trained.

    Attributes:
        name, group, job_type: how trackers call the run.
        config: the resolved configuration.
        description: of the encoder, by `nas.costs.describe.describe`.
        overrides: what it was composed from.
        known: numbers that a search has of the run before it is trained, such as a latency.
    """

    tracker: Tracker
    seed: int
    folder: Path
    name: str
    group: str
    job_type: str
    config: dict[str, Any]
    description: dict[str, Any]
    overrides: tuple[str, ...]
    known: Mapping[str, float] = field(default_factory=dict)

    @contextmanager
    def own_folder(self) -> Iterator[None]:
        """Make the folder this run's own.

        Raises:
            InputError: another process trains this run.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        busy = f"{self.folder} is being trained by another process"
        with exclusive(self.folder / LOCK, busy, patience=PATIENCE):
            claim(self.folder, self.config, self.overrides)
            yield

    def check_data(self, data: Mapping[str, Any]) -> None:
        """Compare the prepared data with what an earlier start of this run was given.

        Raises:
            InputError: they differ.
        """
        path = self.folder / PROVENANCE
        before = read_json(path).get("data") if path.is_file() else None
        changed = [] if before is None else changed_data(before, data)
        if changed:
            raise InputError(
                f"{self.folder} was trained on other data than there is now ({', '.join(changed)}): "
                "remove the folder to train it anew"
            )

    @functools.cached_property
    def picture(self) -> str:
        """The encoder drawn as SVG."""
        return drawing(self.description)

    @property
    def already_finished(self) -> str:
        """What is said where the folder holds a result."""
        return f"{self.folder} is finished: this is its result (remove the folder to train it again)"

    def write_identity(self, **more: Any) -> None:
        """Write the architecture, its picture, and where it all comes from; ``more`` is told beside that."""
        write_json(self.folder / "architecture.json", self.description, durable=False)
        write_text(self.folder / "architecture.svg", self.picture, durable=False)
        write_json(self.folder / PROVENANCE, {**provenance(self.seed), **more}, durable=False)

    def info(self, task: str) -> RunInfo:
        """Return what a tracker is told at the start."""
        description = self.description
        return RunInfo(
            name=self.name,
            group=self.group,
            job_type=self.job_type,
            folder=self.folder.parent if self.job_type == "train" else self.folder.parent.parent,
            identity=tracker_id(self.folder),
            config={**self.config, **flat_architecture(description), **self.known},
            tags=(description["string"].split("-")[0], task),
            picture=self.picture,
        )


@contextmanager
def tracked(tracker: Tracker, info: RunInfo, rows: MetricsFile) -> Iterator[None]:
    """Start the tracker; if the run is left by an error, tell it. The file of rows is closed at the end."""
    tracker.start(info)
    try:
        yield
    except BaseException as error:
        status = "paused" if isinstance(error, PausedRunError) else "interrupted"
        tracker.finish({"status": status, "reason": str(error)})
        raise
    finally:
        rows.close()


def summary(result: RunResult, **more: float) -> dict[str, Any]:
    """Return what a tracker is told at the end."""
    return {
        "status": result.status,
        **result.metrics,
        **more,
        "cost/parameters": result.parameters,
        "cost/flops_per_token": result.flops_per_token,
        "tokens_per_second": result.tokens_per_second,
        "seconds": result.seconds,
    }


def flat_architecture(description: dict[str, Any]) -> dict[str, Any]:
    """Return the architecture as flat keys: W&B can neither filter nor group by items of a list."""
    slots = description["slots"]
    roles = [slot["role"] for slot in slots]
    return {
        "arch/string": description["string"],
        "arch/hash": description["hash"],
        **{f"arch/slot_{i:02d}": slot["label"] for i, slot in enumerate(slots)},
        **{f"arch/n_{role}": roles.count(role) for role in sorted(set(roles))},
        "cost/parameters": description["parameters"],
        "cost/flops_per_token": description["flops_per_token"],
    }
