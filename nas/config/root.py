"""The top-level keys of a configuration: what each command accepts, and their types."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

Direction = Literal["minimize", "maximize"]


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
    storage: Node | None
    study: str | None


@dataclass(frozen=True)
class BenchConfig:
    """The keys of a bench."""

    bench: Node
    paths: Node
    seed: int


class Evidence(TypedDict, total=False):
    """What `nas-bench tasks` measures to answer a sweep's question.

    Attributes:
        question: in words.
        metric: what candidates are compared by; null: the task's accuracy.
        candidates: name to overrides.
        matched: whether ``encoder.hidden_size`` is solved so that all have the first one's parameters.
        tasks: name to overrides: each is searched in the sweep's space, and its winner is a candidate.
        trials: of each search.
        rates: learning rates that are tried for each candidate.
        seeds: runs of each candidate with its best rate.
        tuned_on: how many of the seeds every rate is tried with.
        claims: what is expected, such as ``attention > convolution`` or ``attention >= 0.99``.
    """

    question: str
    metric: str | None
    candidates: dict[str, list[str]]
    matched: bool
    tasks: dict[str, list[str]]
    trials: int
    rates: list[float]
    seeds: int
    tuned_on: int
    claims: list[str]


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
    checkpoint: str | None
    transfer: Literal["same", "grow", "inherit"]
    study: str | None


@dataclass(frozen=True)
class SearchConfig(TrainConfig):
    """The keys of a search: those of a run, and what is varied, how often and by whom."""

    space: dict[str, Any]
    forbid: list[str]
    constraints: dict[str, Any]
    match: dict[str, Any] | None
    n_trials: int
    replicates: int
    baselines: int
    sampler: Node
    storage: Node
    evaluator: Node | None
    launcher: Node
    scores: bool
    screen: dict[str, Any] | None
    rungs: Node | None
    objective: str | list[str] | None
    direction: Direction | list[Direction] | None
    workers: int | None
    retries: int
    hang_seconds: float
    dry_run: bool
    evidence: Evidence | None = None


SEARCH_ONLY = tuple(
    f.name for f in dataclasses.fields(SearchConfig) if f not in dataclasses.fields(TrainConfig)
)
"""Keys that a sweep file brings into a run's config, where they have no meaning."""
