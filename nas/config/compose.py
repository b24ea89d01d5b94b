"""A command's overrides composed into one checked configuration, or all of its mistakes at once."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from hydra import compose as hydra_compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf

from nas.config import check, diagnose, links
from nas.config.groups import group_options, hydra_loaded
from nas.config.of_run import with_choices
from nas.config.overrides import assigned, is_value, listed, parse, readable
from nas.config.root import SEARCH_ONLY
from nas.config.sources import BY_PATH, register_file
from nas.errors import InputError, let_interrupt_pass

Kind = Literal["train", "search", "report", "bench"]
_OPEN = ("constraints",)
"""Mappings whose keys are the user's."""
_ROOTS = {kind: f"nas.config.root.{kind.capitalize()}Config" for kind in get_args(Kind)}


@dataclass(frozen=True)
class Composed:
    """A checked configuration and where it came from.

    Attributes:
        plain: plain values, links such as ``${encoder.hidden_size}`` kept; without Hydra's own node.
        choices: group to the chosen name.
        overrides: as given, file names made absolute: with them the same configuration is made again.
        trusted: further prefixes of ``_target_`` that the command line allowed.
    """

    plain: dict[str, Any]
    choices: dict[str, str | None]
    overrides: tuple[str, ...]
    trusted: tuple[str, ...]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is made from the rest: workers are sent this."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @functools.cached_property
    def config(self) -> DictConfig:
        """The configuration as OmegaConf's, links kept."""
        config = OmegaConf.create(self.plain)
        OmegaConf.set_struct(config, True)
        return config

    def values(self) -> dict[str, Any]:
        """Return plain values, links followed."""
        return links.resolved(self.plain)


def compose(kind: Kind, overrides: Sequence[str]) -> Composed:
    """Compose ``conf/<kind>.yaml`` with overrides, and check every key, type, name and target.

    Hydra composes the same choices of groups once in a process (a tenth of a second); values are set in
    a copy of that, as Hydra sets them: those that only replace others by ourselves, which is the same.

    Raises:
        InputError: one sentence for each mistake, all of them together.
    """
    with hydra_loaded():
        given = _prepare(overrides)
        composed = _unchecked(kind, given)
    mistakes = check.mistakes_in(composed.plain, _ROOTS[kind], given.trusted)
    if mistakes:
        raise InputError(*with_choices(mistakes, composed.overrides, composed.choices))
    return composed


def _unchecked(kind: Kind, given: _Given) -> Composed:
    """Compose; nothing is checked that Hydra does not check.

    Raises:
        InputError: Hydra refuses it: all mistakes together.
    """
    try:
        return _quickly(kind, given) or _composed(_by_hydra(kind, given.for_hydra), kind, given)
    except diagnose.HYDRA_ERRORS as error:
        let_interrupt_pass(error)
        raise InputError(*_all_mistakes(kind, given, error)) from None


def _quickly(kind: Kind, given: _Given) -> Composed | None:
    """Return the composition, if it is choices of packaged and named files and values that replace others."""
    if any(map(_comes_from_elsewhere, given.for_hydra)):
        return None
    choices, values = _choices_and_values(given.for_hydra)
    if not all(map(is_value, values)):
        return None
    base = _of_choices(kind, choices)
    plain = links.copied(base.plain)
    if not all(links.set_plain(plain, _key(p), p.value()) for p in values):
        return None
    return Composed(plain, dict(base.choices), given.recorded, given.trusted)


def _choices_and_values(overrides: Sequence[str]) -> tuple[tuple[str, ...], list[Override]]:
    """Return the overrides that Hydra composes, and those that change what comes out."""
    choices: list[str] = []
    values: list[Override] = []
    for text in overrides:
        p = parse(text)
        if "@" in text or p.is_sweep_override() or _is_choice(p):
            choices.append(text)
        else:
            values.append(p)
    return tuple(choices), values


def _by_hydra(kind: Kind, overrides: Sequence[str]) -> DictConfig:
    """Return what Hydra makes of overrides, whose choices it composes once in a process if it may."""
    if any(map(_comes_from_elsewhere, overrides)):
        return hydra_compose(kind, list(overrides), return_hydra_config=True)
    choices, values = _choices_and_values(overrides)
    config = copy.deepcopy(_hydra_of(kind, choices))
    ConfigLoaderImpl._apply_overrides_to_config(values, config)  # Hydra's own last step
    return config


@functools.lru_cache(maxsize=32)
def _of_choices(kind: Kind, choices: tuple[str, ...]) -> Composed:
    """Return what choices make; nobody may change it."""
    return _composed(_hydra_of(kind, choices), kind, _Given(list(choices), choices, (), {}))


@functools.lru_cache(maxsize=32)
def _hydra_of(kind: Kind, choices: tuple[str, ...]) -> DictConfig:
    """Return what Hydra makes of choices, whose names never stand for another file; nobody may change it."""
    return hydra_compose(kind, list(choices), return_hydra_config=True)


def _comes_from_elsewhere(text: str) -> bool:
    """Return whether an override is one of Hydra's own, such as a folder of further choices."""
    return text.lstrip("+~").startswith("hydra")


def _is_choice(p: Override) -> bool:
    return "/" in _key(p) or _key(p) in _top_groups()


def with_values(base: Composed, kind: Kind, overrides: Sequence[str]) -> Composed:
    """Return ``base`` with more overrides: quickly if they only set values, else by composing anew.

    Raises:
        InputError: as `compose`.
    """
    plain = links.copied(base.plain)
    for p in map(parse, overrides):
        if not (is_value(p) and links.set_plain(plain, _key(p), p.value())):
            return compose(kind, [*base.overrides, *overrides])
    mistakes = check.mistakes_in(plain, _ROOTS[kind], base.trusted)
    if mistakes:
        raise InputError(*mistakes)
    return Composed(plain, base.choices, (*base.overrides, *overrides), base.trusted)


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
        key, file = str(p.key_or_group), None
        if key in BY_PATH and isinstance(value, str):
            file = _one(key, value, outputs, names)
        elif key == "sweep" and isinstance(value, list):
            file = _several(value, outputs, names)
        nothing = value is None and not p.is_sweep_override() and not p.is_delete()
        if nothing and p.key_or_group in _top_groups():
            text = f"~{p.key_or_group}"  # Hydra's way to say that nothing is chosen
        if key in _OPEN and isinstance(value, dict) and not p.is_add():
            text = f"+{text}"  # Hydra's way to let a mapping have keys that it has not had
        for_hydra.append(file[0] if file else text)
        recorded.append(file[1] if file else text)
    return _Given(for_hydra, tuple(recorded), tuple(trusted), names)


@functools.cache
def _top_groups() -> frozenset[str]:
    return frozenset(GlobalHydra.instance().config_loader().list_groups(""))


def _one(key: str, value: str, outputs: str, names: dict[str, str]) -> tuple[str, str] | None:
    """Return the override of a file, as Hydra shall see it and as it is recorded; None: it is no file."""
    file = register_file(key, value, outputs)
    if file is None:
        return None
    names[file[0]] = value
    return f"{key}={file[0]}", assigned(key, file[1])


def _several(values: list[Any], outputs: str, names: dict[str, str]) -> tuple[str, str]:
    """Return the override of sweeps that are composed, as Hydra shall see it and as it is recorded."""
    files = [register_file("sweep", str(v), outputs) or (str(v), str(v)) for v in values]
    names.update({file[0]: str(v) for file, v in zip(files, values, strict=True) if file[0] != str(v)})
    called, recorded = (listed("sweep", [file[i] for file in files]) for i in (0, 1))
    return called, recorded


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
    several = any(text.startswith("sweep=[") for text in given.for_hydra)
    left_out = SEARCH_ONLY if kind == "train" and (several or choices.get("sweep")) else ()
    keys = [str(key) for key in config if key != "hydra" and key not in left_out]
    plain: Any = OmegaConf.to_container(OmegaConf.masked_copy(config, keys))
    return Composed(plain, choices, given.recorded, given.trusted)


def _all_mistakes(kind: Kind, given: _Given, first: Exception) -> list[str]:
    Plugins.instance()

    def attempt(overrides: list[str]) -> DictConfig:
        if overrides == given.for_hydra:
            raise first  # as it is known
        return _by_hydra(kind, overrides)

    groups = group_options(given.for_hydra)
    found, missing, rest = diagnose.separate(given.for_hydra, groups, attempt, parse)
    if rest is not None:
        more = check.mistakes_in(_composed(rest, kind, given).plain, _ROOTS[kind], given.trusted)
        found.extend(mistake for mistake in more if not diagnose.follows(mistake, missing))
    found = found or [diagnose.first_line(first)]
    for name, called in given.names.items():
        found = [mistake.replace(name, called) for mistake in found]
    return found


def _key(p: Override) -> str:
    return str(p.key_or_group)
