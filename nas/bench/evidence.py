"""A sweep's question with its candidates: who is compared, at which sizes, rates and seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from nas.bench.answers import check_claims
from nas.config.build import AnyRun, Run, run_of
from nas.config.compose import Composed, compose, with_values
from nas.errors import InputError, not_allowed
from nas.tasks.suite import judged_by

STEP, FINE, LARGEST = 8, 4, 512
"""Hidden sizes that are tried to match parameters: multiples of the first, up to the last.

Some blocks can also be built with multiples of the second.
"""
SIZE = "encoder.hidden_size"


@dataclass(frozen=True)
class Candidate:
    """Who is compared: the overrides, its size among them, and what they make."""

    name: str
    overrides: tuple[str, ...]
    hidden_size: int
    parameters: int
    architecture: str


@dataclass(frozen=True)
class Question:
    """A question as a sweep asks it.

    Attributes:
        name: of the sweep.
        base: the configuration that all runs share.
        text: the question in words.
        metric: what candidates are compared by; None: the task's own.
        candidates: name to overrides.
        tasks: name to overrides: tasks that are searched; their winners are the candidates.
    """

    name: str
    base: Composed
    text: str
    metric: str | None = None
    candidates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    matched: bool = True
    tasks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trials: int = 24
    rates: tuple[float, ...] = (1e-3, 3e-3)
    seeds: int = 3
    tuned_on: int = 1
    claims: tuple[str, ...] = ()


def questions() -> list[str]:
    """Return the names of the packaged sweeps that have evidence."""
    files = (f for f in resources.files("nas.sweeps").iterdir() if f.name.endswith(".yaml"))
    return sorted(f.name.removesuffix(".yaml") for f in files if "\nevidence:" in f.read_text("utf-8"))


def read_question(name: str, shared: Iterable[str]) -> Question:
    """Return a sweep's question.

    Args:
        name: of the sweep, or the path of its file.
        shared: further overrides, such as where files go.

    Raises:
        InputError: there is no such sweep, or its ``evidence`` can not be measured.
    """
    told = compose("search", [f"sweep={name}"]).values().get("evidence")
    if not told:
        raise InputError(not_allowed("bench.questions", name, questions()))
    listed: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in told.items() if k != "question"
    }
    for key in ("candidates", "tasks"):
        listed[key] = {n: tuple(overrides) for n, overrides in (told.get(key) or {}).items()}
    base = compose("train", [f"sweep={name}", "tracker=none", *shared])
    question = Question(Path(name).stem, base, told.get("question", ""), **listed)
    check_question(question)
    return question


def check_question(question: Question) -> None:
    """Raise `InputError` naming all that makes a question unanswerable."""
    where, found = f"{question.name}: evidence", []
    if bool(question.candidates) == bool(question.tasks):
        found.append(f"{where} must have either candidates or tasks")
    if not question.rates or min(question.rates) <= 0:
        found.append(f"{where}.rates={list(question.rates)} must be numbers greater than 0")
    if not 1 <= question.tuned_on <= question.seeds:
        found.append(f"{where}.tuned_on={question.tuned_on} must be from 1 to seeds={question.seeds}")
    if question.claims and question.tasks:
        found.append(f"{where}.claims are of candidates; there are tasks")
    if found:
        raise InputError(*found)
    check_claims(question.claims, list(question.candidates), f"{where}.claims")


def candidates_of(question: Question) -> list[Candidate]:
    """Return the candidates, built without memory for weights; the first one sets the parameters.

    Raises:
        InputError: one cannot be built.
    """
    made: list[Candidate] = []
    for name, overrides in question.candidates.items():
        composed = with_values(question.base, "train", overrides)
        own = any(o.startswith(f"{SIZE}=") for o in overrides)
        if made and question.matched and not own:
            size = matched_size(composed, made[0].parameters)
            overrides, composed = (*overrides, f"{SIZE}={size}"), _sized(composed, size)
        run = meta_run(composed)
        described = run.description
        made.append(
            Candidate(name, overrides, described["hidden_size"], described["parameters"], described["string"])
        )
    return made


def matched_size(composed: Composed, parameters: int) -> int:
    """Return the hidden size whose encoder comes closest to so many parameters.

    Raises:
        InputError: the encoder cannot be built.
    """

    def count(size: int) -> int:
        return int(meta_run(_sized(composed, size)).description["parameters"])

    low, high = 1, LARGEST // STEP
    while low < high:  # the least size with at least as many
        middle = (low + high) // 2
        low, high = (low, middle) if count(middle * STEP) >= parameters else (middle + 1, high)
    near = range(max(STEP, (low - 1) * STEP - FINE), low * STEP + FINE, FINE)
    return min(filter(_fits(composed), near), key=lambda size: abs(count(size) - parameters))


def metric_of(question: Question, run: AnyRun) -> str:
    """Return what a task's candidates are compared by.

    Raises:
        InputError: the task has no such metric.
    """
    metric = question.metric or (judged_by(run.task) if isinstance(run, Run) else run.task.objective)
    if metric not in run.task.metrics:
        raise InputError(not_allowed(f"{question.name}: evidence.metric", metric, run.task.metrics))
    return metric


def meta_run(composed: Composed) -> AnyRun:
    """Return a run whose encoder has no memory for weights."""
    with torch.device("meta"):
        return run_of(composed)


def _fits(composed: Composed) -> Callable[[int], bool]:
    """Return what says whether an encoder can be built with a hidden size."""

    def fits(size: int) -> bool:
        try:
            meta_run(_sized(composed, size))
        except InputError:
            return False
        return True

    return fits


def _sized(composed: Composed, size: int) -> Composed:
    return with_values(composed, "train", [f"{SIZE}={size}"])


def told(candidate: Candidate) -> dict[str, Any]:
    """Return a candidate as an answer's file holds it."""
    return {
        "candidate": candidate.name,
        "overrides": list(candidate.overrides),
        "hidden_size": candidate.hidden_size,
        "parameters": candidate.parameters,
        "architecture": candidate.architecture,
    }
