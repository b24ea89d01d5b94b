"""Which of several overrides are wrong, told one by one where Hydra stops at the first."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from nas.config.file_names import stands_for_file
from nas.errors import let_interrupt_pass, nearest, not_allowed

Attempt = Callable[[list[str]], DictConfig]
HYDRA_ERRORS = (HydraException, OmegaConfBaseException, YAMLError, ValueError)
"""What composing raises: Hydra lets some come out as plain ``ValueError``, such as those of ``task=null``."""


def separate(
    overrides: Sequence[str],
    groups: dict[str, list[str]],
    attempt: Attempt,
    parse: Callable[[str], Override],
) -> tuple[list[str], list[str], DictConfig | None]:
    """Return the mistakes, where choices are missing, and what the other overrides make (None if nothing).

    Choices of groups come first, as they decide which keys there are; before them, Hydra's own
    keys, as one of them adds folders of choices. What follows from a wrong choice is not told.
    """
    mistakes: list[str] = []
    missing: list[str] = []
    accepted: list[str] = []
    config = _try(attempt, accepted)
    for p in sorted(map(parse, overrides), key=lambda p: _rank(p, groups)):
        new = _try(attempt, [*accepted, str(p.input_line)])
        if isinstance(new, DictConfig):
            config = new
            accepted.append(str(p.input_line))
        elif not follows(str(p.key_or_group), missing):
            mistakes.append(_explain(p, config, groups, new))
            missing.extend([p.package or _group(p)] if _group(p) in groups else [])
    return mistakes, missing, config if isinstance(config, DictConfig) else None


def follows(mistake: str, missing: Sequence[str]) -> bool:
    """Return whether a mistake is of a key below a missing choice, or of a slot that names one."""
    for place in missing:
        pool, _, name = place.rpartition(".")
        if mistake.startswith(f"{place}.") or f"={name!r} is not in {pool} [" in mistake:
            return True
    return False


def _rank(p: Override, groups: dict[str, list[str]]) -> int:
    return 0 if _group(p).startswith("hydra.") else 1 if _group(p) in groups else 2


def _try(attempt: Attempt, overrides: list[str]) -> DictConfig | str:
    try:
        return attempt(overrides)
    except HYDRA_ERRORS as error:
        let_interrupt_pass(error)
        return first_line(error) if isinstance(error, YAMLError) else str(error) or first_line(error)


def first_line(error: BaseException) -> str:
    """Return the first line of an error that Hydra raised."""
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        return f"{error.problem_mark.name} is not YAML: {problem(error)}"
    while not str(error) and error.__cause__ is not None:  # Hydra wraps some in an empty one
        error = error.__cause__
    return (str(error) or type(error).__name__).splitlines()[0]


def problem(error: BaseException) -> str:
    """Return what a file that cannot be read as YAML does wrong, and in which line."""
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        return f"{error.problem} in line {error.problem_mark.line + 1}"
    return str(error).splitlines()[0]


def _group(p: Override) -> str:
    return str(p.key_or_group).lstrip("/")


def _wrong_choice(p: Override, groups: dict[str, list[str]]) -> str | None:
    if _group(p) not in groups or p.is_sweep_override() or p.is_delete():
        return None
    options, value = groups[_group(p)], p.value()
    nested = [
        f"{g.removeprefix(_group(p) + '/')}/{o}"
        for g in groups
        for o in groups[g]
        if g.startswith(_group(p) + "/")
    ]
    names = value if isinstance(value, list) else [value]
    wrong = [n for n in names if str(n) not in options and str(n) not in nested]
    offered = sorted(name for name in (*options, *nested) if not stands_for_file(name))
    key = f"{_group(p)}@{p.package}" if p.package else _group(p)
    return not_allowed(key, wrong[0], offered) if wrong else None


def _explain(p: Override, config: DictConfig | str, groups: dict[str, list[str]], error: str) -> str:
    key = str(p.key_or_group)
    if p.is_sweep_override():
        return f"{p.input_line!r} names several values: add -m to run them all"
    if p.is_add() and p.package and "more than once" in error:
        return f"{p.input_line!r}: {p.package} is there already: leave the + out to replace it"
    problem = f"{p.input_line!r}: {error.splitlines()[0]}"
    if not isinstance(config, DictConfig):
        return problem
    parent = key.rpartition(".")[0]
    holder = OmegaConf.select(config, parent) if parent else config
    if unknown := _unknown_items(p, config):
        return unknown
    if (wrong := _wrong_choice(p, groups)) and "Could not " in error:
        return wrong
    if (
        beside := re.search(r"Could not override '(\w+)'\.\s+Did you mean to override \1\?", error)
    ) is not None:
        return f"{p.input_line!r} cannot choose {beside[1]}: give {beside[1]}=... beside it"
    if _group(p) in groups:
        lines = [*itertools.takewhile(lambda line: not line.endswith(":"), error.splitlines())]
        return f"{p.input_line!r}: {' '.join(line.strip() for line in lines or error.splitlines()[:2])}"
    if link := link_above(key, config):
        return f"{key}: {link} stands for it, so set {link}"
    if isinstance(holder, ListConfig):
        return f"{key}: the list {parent} has {len(holder)} items, so the last is {parent}.{len(holder) - 1}"
    items = [f"{key}.{item}" for item in value] if isinstance(value := p.value(), dict) else [key]
    if whole := next(filter(None, (_of_space(item, config) for item in items)), None):
        return f"{key}: what a sweep says of {whole} is replaced whole: +space.{whole}=..."
    if nothing := _null_above(key, config):
        return f"{key}: {nothing} is null; to give it keys: ++{p.input_line}"
    if _is_unknown(key, config):
        known = [k for k in _keys("", config) if not k.startswith("hydra.")]
        return f"{key} is not a key{nearest(key, known) or _siblings(parent, holder)}"
    return problem


def _unknown_items(p: Override, config: DictConfig) -> str | None:
    """Return which key of ``key={item: ...}`` is not in the mapping that is there."""
    key, value = str(p.key_or_group), p.value()
    there = OmegaConf.select(config, key) if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(there, DictConfig):
        return None
    known = [f"{key}.{item!s}" for item in there]
    unknown = [name for name in (f"{key}.{item}" for item in value) if name not in known]
    if not unknown:
        return None
    return f"{unknown[0]} is not a key{nearest(unknown[0], known) or f'; to add it: +{p.input_line}'}"


def _of_space(key: str, config: DictConfig) -> str | None:
    """Return the key of the space, written with dots, that ``key`` is or lies below: Hydra reads no such."""
    space = OmegaConf.select(config, "space")
    written = [str(name) for name in space if "." in str(name)] if isinstance(space, DictConfig) else []
    return next((name for name in written if f"{key}.".startswith(f"space.{name}.")), None)


def _is_unknown(key: str, config: DictConfig) -> bool:
    try:
        return OmegaConf.select(config, key) is None
    except HYDRA_ERRORS:
        return True


def link_above(key: str, config: DictConfig) -> str | None:
    """Return what to set in place of ``key`` where a node above it is a link such as ``${embedding}``."""
    above, _, below = key.rpartition(".")
    while above:
        parent, _, name = above.rpartition(".")
        holder = OmegaConf.select(config, parent) if parent else config
        if isinstance(holder, DictConfig) and name in holder and OmegaConf.is_interpolation(holder, name):
            source = str(OmegaConf.to_container(holder, resolve=False)[name]).strip("${}")  # type: ignore[index,call-overload]
            return f"{source}.{below}"
        above, below = parent, f"{name}.{below}"
    return None


def _null_above(key: str, config: DictConfig) -> str | None:
    """Return the key above another that is there and holds nothing."""
    while "." in key:
        key = key.rpartition(".")[0]
        parent, _, name = key.rpartition(".")
        holder = OmegaConf.select(config, parent) if parent else config
        if isinstance(holder, DictConfig) and name in holder:
            return key if not OmegaConf.is_missing(holder, name) and holder[name] is None else None
    return None


def _siblings(parent: str, holder: Any) -> str:
    if not isinstance(holder, DictConfig):
        return ""
    names = sorted(str(k) for k in holder if k != "hydra")
    return f"; {parent or 'the configuration'} has {names}"


def _keys(prefix: str, node: Any) -> Iterator[str]:
    if isinstance(node, DictConfig):
        for key in map(str, node):
            full = f"{prefix}{key!s}"
            yield full
            if not OmegaConf.is_interpolation(node, key) and not OmegaConf.is_missing(node, key):
                yield from _keys(f"{full}.", node[key])
