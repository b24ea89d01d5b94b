"""A command's overrides composed into one checked configuration, or all of its mistakes at once."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from nas.config import check, diagnose
from nas.config.root import SEARCH_ONLY
from nas.config.sources import BY_PATH, register_file, register_sweeps
from nas.errors import InputError

Kind = Literal["train", "search", "report", "bench"]
_ROOTS = {kind: f"nas.config.root.{kind.capitalize()}Config" for kind in get_args(Kind)}


@dataclass(frozen=True)
class Composed:
    """A checked configuration and where it came from.

    Attributes:
        config: interpolations kept; without Hydra's own node.
        choices: group to the chosen name.
        overrides: as given, file names made absolute: with them the same configuration is made again.
        trusted: further prefixes of ``_target_`` that the command line allowed.
    """

    config: DictConfig
    choices: dict[str, str | None]
    overrides: tuple[str, ...]
    trusted: tuple[str, ...]

    def values(self) -> dict[str, Any]:
        """Return plain values, interpolations resolved."""
        resolved: dict[str, Any] = OmegaConf.to_container(self.config, resolve=True)  # type: ignore[assignment]
        return resolved


def compose(kind: Kind, overrides: Sequence[str]) -> Composed:
    """Compose ``conf/<kind>.yaml`` with overrides, and check every key, type, name and target.

    Raises:
        InputError: one sentence for each mistake, all of them together.
    """
    with hydra_loaded():
        given = _prepare(overrides)
        try:
            config = hydra_compose(kind, given.for_hydra, return_hydra_config=True)
        except diagnose.HYDRA_ERRORS as error:
            raise InputError(*_all_mistakes(kind, given, error)) from None
    composed = _composed(config, kind, given)
    mistakes = check.mistakes_in(composed.config, _ROOTS[kind], given.trusted)
    if mistakes:
        raise InputError(*mistakes)
    return composed


def with_values(base: Composed, kind: Kind, overrides: Sequence[str]) -> Composed:
    """Return ``base`` with more overrides: quickly if they only set values, else by composing anew.

    Raises:
        InputError: as `compose`.
    """
    parsed = [parse(override) for override in overrides]
    config = base.config.copy()
    for p in parsed:
        if not _sets_value(p, config):
            return compose(kind, [*base.overrides, *overrides])
        OmegaConf.update(config, _key(p), p.value(), merge=False)
    mistakes = check.mistakes_in(config, _ROOTS[kind], base.trusted)
    if mistakes:
        raise InputError(*mistakes)
    return Composed(config, base.choices, (*base.overrides, *overrides), base.trusted)


def _sets_value(p: Override, config: DictConfig) -> bool:
    """Return whether ``p`` changes a value that is there, and not a choice, a link or several runs."""
    if p.is_add() or p.is_delete() or p.is_sweep_override() or "@" in str(p.input_line):
        return False
    try:
        if diagnose.link_above(_key(p), config):
            return False
        found = OmegaConf.select(config, _key(p), default=_ABSENT)
    except diagnose.HYDRA_ERRORS:
        return False
    return found is not _ABSENT and not isinstance(found, DictConfig)


_ABSENT = object()


def parse(override: str) -> Override:
    """Parse one override.

    Raises:
        InputError: it is not of the form key=value.
    """
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException as error:
        raise InputError(f"{override!r} cannot be read: {str(error).splitlines()[0]}") from None


def readable(overrides: Sequence[str]) -> list[str]:
    """Return overrides with a bare ``~/path`` in quotes, which Hydra's grammar cannot read without."""
    return [re.sub(r"^([^=]+)=(~[^'\"\[\]{},=]*)$", r"\1='\2'", override) for override in overrides]


@contextmanager
def hydra_loaded() -> Iterator[None]:
    """Point Hydra at ``conf/`` and ``sweeps/``; whatever was loaded before is restored."""
    register_sweeps()
    with initialize_config_module("nas.conf", version_base="1.3"):
        yield


def group_options() -> dict[str, list[str]]:
    """Return every group and the names in it; needs `hydra_loaded`."""
    # The loader's own methods copy the whole repository at each call: 9 ms, fifty times.
    repository: Any = GlobalHydra.instance().config_loader().repository  # type: ignore[attr-defined]

    def below(parent: str) -> Iterator[str]:
        for name in repository.get_group_options(parent, ObjectType.GROUP):
            group = f"{parent}/{name}" if parent else name
            if group != "hydra":
                yield group
                yield from below(group)

    return {group: repository.get_group_options(group, ObjectType.CONFIG) for group in below("")}


def split_grid(overrides: Sequence[str]) -> list[list[str]]:
    """Return the override lists of a grid: one for each combination of comma-separated values.

    Raises:
        InputError: an override is not of the form key=value.
    """
    parsed = [parse(override) for override in readable(overrides)]
    [jobs] = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for job in jobs]


def for_hydra(overrides: Sequence[str]) -> list[str]:
    """Return the overrides as Hydra's own command line takes them."""
    with hydra_loaded():
        return _prepare(overrides).for_hydra


@dataclass(frozen=True)
class _Given:
    for_hydra: list[str]
    recorded: tuple[str, ...]
    trusted: tuple[str, ...]
    names: dict[str, str]  # of registered files, to what the user called them


def _prepare(overrides: Sequence[str]) -> _Given:
    """Take out what Hydra shall not see, and replace paths of files by registered names."""
    parsed: list[tuple[str, Override]] = []
    mistakes: list[str] = []
    for text in readable(overrides):
        try:
            parsed.append((text, parse(text)))
        except InputError as error:
            mistakes.extend(error.mistakes)
    if mistakes:
        raise InputError(*mistakes)
    outputs = next((str(p.value()) for _, p in parsed if p.key_or_group == "paths.outputs"), "outputs")
    for_hydra, recorded, trusted = [], [], []
    names: dict[str, str] = {}
    for text, p in parsed:
        value = None if p.is_sweep_override() else p.value()
        if p.key_or_group == "trusted_targets":
            trusted.extend(_prefixes(value))
            recorded.append(text)
            continue
        file = None
        if p.key_or_group in BY_PATH and isinstance(value, str):
            file = register_file(p.key_or_group, value, outputs)
        nothing = value is None and not p.is_sweep_override() and not p.is_delete()
        if nothing and p.key_or_group in _top_groups():
            text = f"~{p.key_or_group}"  # Hydra's way to say that nothing is chosen
        if file:
            names[file[0]] = str(value)
        for_hydra.append(f"{p.key_or_group}={file[0]}" if file else text)
        recorded.append(f"{p.key_or_group}={file[1]}" if file else text)
    return _Given(for_hydra, tuple(recorded), tuple(trusted), names)


@functools.cache
def _top_groups() -> frozenset[str]:
    return frozenset(GlobalHydra.instance().config_loader().list_groups(""))


def _prefixes(value: Any) -> list[str]:
    prefixes = value if isinstance(value, list) else [value]
    wrong = [p for p in prefixes if not isinstance(p, str) or not p.endswith(".") or len(p) < 2]
    if wrong:
        raise InputError(
            f"trusted_targets={value!r} must be a list of prefixes with a dot, such as [my_package.]"
        )
    return [str(p) for p in prefixes]


def _composed(config: DictConfig, kind: Kind, given: _Given) -> Composed:
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
        if kind == "train" and choices.get("sweep"):
            for key in SEARCH_ONLY:
                config.pop(key, None)
    return Composed(config, choices, given.recorded, given.trusted)


def _all_mistakes(kind: Kind, given: _Given, first: Exception) -> list[str]:
    Plugins.instance()

    def attempt(overrides: list[str]) -> DictConfig:
        return hydra_compose(kind, overrides, return_hydra_config=True)

    found, rest = diagnose.separate(given.for_hydra, group_options(), attempt, parse)
    if rest is not None:
        found.extend(check.mistakes_in(_composed(rest, kind, given).config, _ROOTS[kind], given.trusted))
    found = found or [diagnose.first_line(first)]
    for name, called in given.names.items():
        found = [mistake.replace(name, called) for mistake in found]
    return found


def _key(p: Override) -> str:
    return str(p.key_or_group)
