"""A search that is checked and ready: its question, its space and everything that may be wrong with it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.config.build import AnyRun
from nas.config.compose import Composed, compose
from nas.config.groups import search_paths
from nas.config.instantiate import instantiate_node
from nas.config.overrides import parse
from nas.config.root import SEARCH_ONLY
from nas.cores import usable_cores
from nas.errors import InputError
from nas.search.constraints import LATENCY, Limit, read_limits
from nas.search.evaluation import Evaluator
from nas.search.gate import Gate
from nas.search.launchers.base import Launcher
from nas.search.match import Match, match_mistakes, read_match
from nas.search.objectives import Objectives, read_objectives
from nas.search.pricing import Pricing
from nas.search.probes import build_meta, choice_mistakes, mistakes_beside
from nas.search.question import Question
from nas.search.screen import PREDICTED, read_screen
from nas.search.spaces.base import Base
from nas.search.spaces.space import Space
from nas.search.storages.sqlite import FOR_READING, SQLite
from nas.search.sweeps import called, conflicts, names_in, without_effect
from nas.seeding import derive
from nas.train.folder import NOT_IDENTITY, PLACES, study_mistakes

if TYPE_CHECKING:
    from nas.search.latency import Latency


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
        gate: decides which proposals are trained.
        evaluator: how trials get their values; None: each is trained from scratch.
    """

    config: dict[str, Any]
    question: Question
    composed: Composed
    sampler: str
    folder: Path
    reference: AnyRun
    workers: int
    gate: Gate
    evaluator: Evaluator | None = None


def plan_search(search: Composed) -> Plan:
    """Check a search: its numbers, its space, and every choice by building it on the meta device.

    Raises:
        InputError: all mistakes together.
    """
    config = search.values()
    base = shared_overrides(search)
    sweeps, further = _sweeps(base), search_paths(base)
    if wrong_sweeps := [*conflicts(sweeps, further), *without_effect(sweeps, further)]:
        raise InputError(*wrong_sweeps)
    composed = compose("train", base)
    mistakes = [*_number_mistakes(config), *_part_mistakes(config), *study_mistakes(config["study"])]
    limits, match = _rules(config, mistakes)
    try:
        space = Space(config["space"], config["forbid"], Base(composed))
        reference = build_meta(composed)
    except InputError as error:
        raise InputError(*mistakes, *error.mistakes, *_beside(composed, config["space"])) from None
    mistakes += [*match_mistakes(match, space, Base(composed)), *choice_mistakes(composed, space)]
    objectives = _objectives(config, reference, match, mistakes)
    mistakes += _screen_mistakes(config["screen"], objectives)
    evaluator = _evaluator(config, space, objectives, mistakes)
    wanted = tuple(o.name for o in objectives if o.is_cost)
    gate = Gate(space, Pricing(Base(composed)), limits, match, functools.partial(_latency, config), wanted)
    if mistakes or (mistakes := gate.mistakes()):
        raise InputError(*mistakes)
    question = Question(
        name=config["study"] or called(sweeps) or "search",
        space=space,
        base=tuple(o for o in base if _root(o) not in PLACES),
        config={k: v for k, v in reference.config.items() if k not in NOT_IDENTITY},
        objectives=objectives,
        task=reference.task.name,
        seed=config["seed"],
        rules={key: config[key] for key in ("forbid", "constraints", "match", "evaluator", "screen")},
    )
    folder = Path(config["paths"]["outputs"]).expanduser() / question.name
    sampler = search.choices.get("sampler") or "custom"
    workers = _workers(config, reference)
    return Plan(config, question, composed, sampler, folder, reference, workers, gate, evaluator)


def _evaluator(
    config: dict[str, Any], space: Space, objectives: Objectives, mistakes: list[str]
) -> Evaluator | None:
    """Return how trials get their values; mistakes are added to those that are known."""
    if config["evaluator"] is None:
        return None
    try:
        evaluator: Evaluator = instantiate_node("evaluator", config["evaluator"])
    except InputError:  # told with those of other parts
        return None
    mistakes += evaluator.mistakes(space, config)
    if len(objectives) > 1:
        names = [objective.name for objective in objectives]
        mistakes.append(f"objective={names}: evaluator={evaluator.name} needs one objective")
    return evaluator


def _screen_mistakes(given: dict[str, Any] | None, objectives: Objectives) -> tuple[str, ...]:
    try:
        screen = read_screen(given)
    except InputError as error:
        return error.mistakes
    if screen is None or screen.score != PREDICTED or len(objectives) < 2:
        return ()
    names = [objective.name for objective in objectives]
    return (f"objective={names}: screen.score={PREDICTED} needs one objective",)


def _rules(config: dict[str, Any], mistakes: list[str]) -> tuple[tuple[Limit, ...], Match | None]:
    """Read what a candidate may cost; mistakes are added to those that are known."""
    limits: tuple[Limit, ...] = ()
    match: Match | None = None
    try:
        limits = read_limits(config["constraints"])
    except InputError as error:
        mistakes.extend(error.mistakes)
    try:
        match = read_match(config["match"])
    except InputError as error:
        mistakes.extend(error.mistakes)
    return limits, match


def _beside(composed: Composed, described: dict[str, Any]) -> list[str]:
    """Return what else is wrong with a space that cannot be read whole."""
    try:
        build_meta(composed)
    except InputError:  # then its choices cannot be built either
        return []
    return mistakes_beside(composed, described)


def _objectives(
    config: dict[str, Any], reference: AnyRun, match: Match | None, mistakes: list[str]
) -> Objectives:
    """Read what a trial is judged by; mistakes are added to those that are known."""
    task = reference.task
    try:
        return read_objectives(
            config["objective"], config["direction"], (task.objective, task.direction), task.metrics, match
        )
    except InputError as error:
        mistakes.extend(error.mistakes)
        return ()


def _latency(config: dict[str, Any]) -> Latency:
    from nas.search.latency import Latency
    from nas.train.precision import choose_device

    trainer = config["trainer"]
    path = Path(config["paths"]["cache"]).expanduser() / f"{LATENCY}.json"
    return Latency(path, choose_device(trainer["device"]), int(trainer["threads"]))


def shared_overrides(search: Composed) -> list[str]:
    """Return the overrides of a search that its trials have too; the sweep is among them by name."""
    kept = [o for o in search.overrides if _root(o) not in (*SEARCH_ONLY, "study", "sweep")]
    given = [o for o in search.overrides if _root(o) == "sweep"]
    default = [f"sweep={search.choices['sweep']}"] if search.choices.get("sweep") else []
    return [*(given or default), *kept]


def _sweeps(base: list[str]) -> list[str]:
    return next((names_in(o) for o in base if _root(o) == "sweep"), [])


def _root(override: str) -> str:
    return str(parse(override).key_or_group).split("@")[0].split(".")[0].split("/")[0]


def _number_mistakes(config: dict[str, Any]) -> list[str]:
    least = {
        "n_trials": 1, "workers": 1, "retries": 0, "hang_seconds": 1, "replicates": 1, "baselines": 0,
    }  # fmt: skip
    return [
        f"{key}={config[key]} must be at least {low}"
        for key, low in least.items()
        if config[key] is not None and not config[key] >= low  # such as nan
    ]


def _part_mistakes(config: dict[str, Any]) -> list[str]:
    mistakes: list[str] = []
    for key in ("sampler", "storage", "launcher", "rungs", "evaluator"):
        try:
            node = seeded(config[key], config["seed"]) if key == "sampler" else config[key]
            part = instantiate_node(key, node) if node is not None else None
            if isinstance(part, SQLite):
                mistakes.append(FOR_READING)
        except InputError as error:
            mistakes.extend(error.mistakes)
    return mistakes


def seeded(sampler: dict[str, Any], seed: int, *names: str | int) -> dict[str, Any]:
    """Return a sampler's node with a seed that all take, derived from its own, or else from the study's."""
    if "seed" not in sampler:
        return sampler
    own = seed if sampler["seed"] is None else sampler["seed"]
    return {**sampler, "seed": derive(own, "sampler", *names) % 2**32}


def _workers(config: dict[str, Any], reference: AnyRun) -> int:
    if config["workers"] is not None:
        return int(config["workers"])
    launcher: Launcher = instantiate_node("launcher", config["launcher"])
    room = launcher.capacity()
    if room is not None:
        return room
    from nas.train.precision import choose_device

    if choose_device(config["trainer"]["device"]).type != "cpu":
        return 1
    return max(1, usable_cores() // int(config["trainer"]["threads"]))
