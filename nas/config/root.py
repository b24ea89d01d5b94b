"""The top-level keys of a configuration: what each command accepts, and their types."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal


class Node:
    """A part of a configuration that builds an object: keys with values, ``_target_`` among them."""


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

    paths: Node
    study: str


@dataclass(frozen=True)
class BenchConfig:
    """The keys of a bench."""

    bench: Node
    paths: Node
    seed: int


@dataclass(frozen=True)
class TrainConfig:
    """The keys of one run."""

    encoder: Node
    embedding: Node
    mask: Node
    task: Node
    corpus: Node
    tokenizer: Node
    optimizer: Node
    schedule: Node
    trainer: Node
    tracker: Node
    paths: Node
    seed: int
    study: str | None


@dataclass(frozen=True)
class SearchConfig(TrainConfig):
    """The keys of a search: those of a run, and what is varied, how often and by whom."""

    space: dict[str, Any]
    n_trials: int
    sampler: Node
    storage: Node
    pruner: Node | None
    objective: str | None
    direction: Literal["minimize", "maximize"] | None
    workers: int | None
    retries: int
    dry_run: bool


SEARCH_ONLY = tuple(
    f.name for f in dataclasses.fields(SearchConfig) if f not in dataclasses.fields(TrainConfig)
)
"""Keys that a sweep file brings into a run's config, where they have no meaning."""
