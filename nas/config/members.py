"""The configurations of a suite's members: each is that of a run of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from nas.config import check
from nas.config.compose import Composed
from nas.config.overrides import parse
from nas.errors import InputError
from nas.tasks.suite import ADJUSTABLE, chosen

SUITE = "nas.tasks.suite.Suite"
_ROOT = "nas.config.root.TrainConfig"
_NO_TRACKER = {"_target_": "nas.track.none.NoTracker"}


def is_suite(composed: Composed) -> bool:
    """Return whether the configured task is a suite."""
    task = composed.plain.get("task")
    return isinstance(task, dict) and task.get("_target_") == SUITE


def members_of(composed: Composed) -> dict[str, Composed]:
    """Return the members of the configured suite, each with the overrides that make the same run alone.

    The whole is what a tracker is told of, so a member has none.

    Raises:
        InputError: a name that is no member, or a setting that no run takes; all mistakes together.
    """
    suite = composed.config.task
    settings: dict[str, Any] = OmegaConf.to_container(suite.settings) if suite.settings else {}  # type: ignore[assignment]
    made = {}
    mistakes: list[str] = []
    for name in chosen(list(suite.tasks), settings, suite.only):
        config = _member_config(composed.config, name, settings.get(name, {}))
        plain: dict[str, Any] = OmegaConf.to_container(config)  # type: ignore[assignment]
        if name in settings:
            wrong = check.mistakes_in(plain, _ROOT, composed.trusted)
            mistakes.extend(_below(f"task.settings.{name}.", mistake) for mistake in wrong)
        made[name] = Composed(
            plain,
            {**composed.choices, "task": composed.choices.get(f"task@task.tasks.{name}")},
            tuple(_member_overrides(composed, name, settings.get(name, {}))),
            composed.trusted,
        )
    if mistakes:
        raise InputError(*mistakes)
    return made


def placed(name: str, mistakes: tuple[str, ...], settings: Mapping[str, Any] | None = None) -> list[str]:
    """Return a member's mistakes with the keys that they have in the suite, in its task or its settings."""
    own = {key for key, _ in _leaves((settings or {}).get(name, {}))}
    found = []
    for mistake in mistakes:
        if mistake.startswith("task."):
            found.append(f"task.tasks.{name}.{mistake.removeprefix('task.')}")
        else:
            of_settings = any(mistake.startswith(f"{key}=") for key in own)
            found.append(_below(f"task.settings.{name}.", mistake) if of_settings else mistake)
    return found


def _below(prefix: str, mistake: str) -> str:
    """Return a mistake with longer keys, in what it offers too."""
    return prefix + mistake.replace("did you mean '", f"did you mean '{prefix}")


def _member_config(config: DictConfig, name: str, settings: Mapping[str, Any]) -> DictConfig:
    member = config.copy()
    with open_dict(member):
        member.task = config.task.tasks[name]
        member.tracker = _NO_TRACKER
        for part in ADJUSTABLE:
            if part in settings:
                member[part] = OmegaConf.merge(member[part], settings[part])
    return member


def _member_overrides(composed: Composed, name: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the suite's overrides with the member in its place, every plain value of the task written out."""
    choice = composed.choices.get(f"task@task.tasks.{name}")
    yield from (o for o in composed.overrides if _root(o) != "task")
    yield f"task={choice}"
    node: dict[str, Any] = OmegaConf.to_container(composed.config.task.tasks[name])  # type: ignore[assignment]
    yield from (f"task.{key}={text}" for key, text in _leaves(node))
    yield from (f"{key}={text}" for key, text in _leaves(settings))


def _root(override: str) -> str:
    return str(parse(override).key_or_group).split("@")[0].split(".")[0].split("/")[0]


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, value as an override's text); links and what builds an object are passed by."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        elif key not in ("_target_", "_partial_") and not (isinstance(value, str) and "${" in value):
            yield f"{prefix}{key}", json.dumps(value)
