"""The top-level keys of a configuration: what `nas-train` and `nas-search` accept, and their types."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Paths:
    """Where files go.

    Attributes:
        outputs: run and study folders are made here.
        cache: prepared data, shared by all runs of this user.
    """

    outputs: str
    cache: str


@dataclass(frozen=True)
class ReportConfig:
    """The keys of a report."""

    paths: Any
    study: str


@dataclass(frozen=True)
class TrainConfig:
    """The keys of one run."""

    encoder: Any
    embedding: Any
    mask: Any
    task: Any
    corpus: Any
    tokenizer: Any
    optimizer: Any
    schedule: Any
    trainer: Any
    tracker: Any
    paths: Any
    seed: int
    study: str | None


@dataclass(frozen=True)
class SearchConfig(TrainConfig):
    """The keys of a search: those of a run, and what is varied, how often and by whom."""

    space: dict[str, Any]
    n_trials: int
    sampler: Any
    storage: Any
    pruner: Any
    objective: str | None
    direction: Literal["minimize", "maximize"] | None
    workers: int | None
    retries: int
    dry_run: bool


SEARCH_ONLY = tuple(
    f.name for f in dataclasses.fields(SearchConfig) if f not in dataclasses.fields(TrainConfig)
)
"""Keys that a sweep file brings into a run's config, where they have no meaning."""
