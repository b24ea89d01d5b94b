"""A search that is checked and ready: its question, its space and everything that may be wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.config.build import Run, instantiate_node
from nas.config.compose import Composed, compose, parse, with_values
from nas.config.root import SEARCH_ONLY
from nas.errors import InputError, nearest, not_allowed
from nas.search.question import Question
from nas.search.space import Parameter, Range, Scalar, Slots, Space, render_entry
from nas.train.folder import NOT_IDENTITY


@dataclass(frozen=True)
class Plan:
    """A checked search that has not begun.

    Attributes:
        config: resolved values of the whole configuration.
        question: what is asked.
        composed: the configuration that all trials share.
        sampler: the sampler's name, for the report.
        folder: of the study.
        reference: the run of the shared configuration, built without memory for weights.
        workers: how many trials run at once.
    """

    config: dict[str, Any]
    question: Question
    composed: Composed
    sampler: str
    folder: Path
    reference: Run
    workers: int


def plan_search(search: Composed) -> Plan:
    """Check a search: its numbers, its space, and every choice by building it on the meta device.

    Raises:
        InputError: all mistakes together.
    """
    config = search.values()
    base = shared_overrides(search)
    composed = compose("train", base)
    mistakes = [*_number_mistakes(config), *_part_mistakes(config), *_name_mistakes(config["study"])]
    try:
        space = Space(config["space"])
        reference = _build(composed)
    except InputError as error:
        raise InputError(*mistakes, *error.mistakes) from None
    mistakes.extend(choice_mistakes(composed, space))
    objective = config["objective"] or reference.task.objective
    if objective not in reference.task.metrics:
        mistakes.append(not_allowed("objective", objective, reference.task.metrics))
    if mistakes:
        raise InputError(*mistakes)
    question = Question(
        name=config["study"] or _sweep_name(base),
        space=space,
        base=tuple(o for o in base if _root(o) not in NOT_IDENTITY),
        config={k: v for k, v in reference.config.items() if k not in NOT_IDENTITY},
        objective=objective,
        direction=config["direction"] or reference.task.direction,
        task=reference.task.name,
        seed=config["seed"],
    )
    folder = Path(config["paths"]["outputs"]).expanduser() / question.name
    sampler = search.choices.get("sampler") or "custom"
    return Plan(config, question, composed, sampler, folder, reference, _workers(config, reference))


def shared_overrides(search: Composed) -> list[str]:
    """Return the overrides of a search that its trials have too; the sweep is among them by name."""
    kept = [o for o in search.overrides if _root(o) not in (*SEARCH_ONLY, "study", "sweep")]
    given = [o for o in search.overrides if _root(o) == "sweep"]
    default = [f"sweep={search.choices['sweep']}"] if search.choices.get("sweep") else []
    return [*(given or default), *kept]


def _sweep_name(base: list[str]) -> str:
    sweep = next((str(parse(o).value()) for o in base if _root(o) == "sweep"), "search")
    return Path(sweep).stem if sweep.endswith((".yaml", ".yml")) else sweep


def _root(override: str) -> str:
    return str(parse(override).key_or_group).split("@")[0].split(".")[0].split("/")[0]


def choice_mistakes(composed: Composed, space: Space) -> list[str]:
    """Build every choice once on the meta device, and return what is wrong with which."""
    unknown = _unknown_keys(composed, space)
    if unknown:
        return unknown
    found: dict[str, None] = {}
    for override in probes(space):
        try:
            _build(with_values(composed, "train", [override]))
        except InputError as error:
            key = override.partition("=")[0]
            found.update(dict.fromkeys(m if key in m else f"space: {override}: {m}" for m in error.mistakes))
    return list(found)


def _unknown_keys(composed: Composed, space: Space) -> list[str]:
    known = {*_dotted("", composed.values()), *composed.choices}
    keys = [e.key if isinstance(e, Slots) else e.name for e in space.entries]
    return [f"space: {key} is not a key{nearest(key, known)}" for key in keys if key not in known]


def _dotted(prefix: str, node: Any) -> Iterator[str]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in items:
        yield f"{prefix}{key}"
        yield from _dotted(f"{prefix}{key}.", child)


def probes(space: Space) -> list[str]:
    """Return one override for every choice of every key, the ends of ranges included."""
    lines = []
    for entry in space.entries:
        parameter = entry.items[0] if isinstance(entry, Slots) else entry
        for value in _values(parameter):
            lines.append(render_entry(entry, lambda _, value=value: value))  # type: ignore[misc]
    return lines


def _values(parameter: Parameter) -> tuple[Scalar, ...]:
    return (parameter.low, parameter.high) if isinstance(parameter, Range) else parameter.choices


def _build(composed: Composed) -> Run:
    import torch

    with torch.device("meta"):
        return Run(composed)


def _number_mistakes(config: dict[str, Any]) -> list[str]:
    least = {"n_trials": 1, "workers": 1, "retries": 0}
    return [
        f"{key}={config[key]} must be at least {low}"
        for key, low in least.items()
        if config[key] is not None and config[key] < low
    ]


def _part_mistakes(config: dict[str, Any]) -> list[str]:
    mistakes: list[str] = []
    for key in ("sampler", "storage", "pruner"):
        try:
            if config[key] is not None:
                instantiate_node(key, config[key])
        except InputError as error:
            mistakes.extend(error.mistakes)
    return mistakes


def _name_mistakes(study: str | None) -> list[str]:
    if study is None or (study not in ("", ".", "..") and Path(study).name == study):
        return []
    return [f"study={study!r} must be the name of a folder under paths.outputs"]


def _workers(config: dict[str, Any], reference: Run) -> int:
    if config["workers"] is not None:
        return int(config["workers"])
    from nas.train.precision import choose_device

    if choose_device(config["trainer"]["device"]).type != "cpu":
        return 1
    allowed = getattr(os, "sched_getaffinity", None)  # macOS has none
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    return max(1, cores // int(config["trainer"]["threads"]))
