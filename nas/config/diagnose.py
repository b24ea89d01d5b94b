"""Which of several overrides are wrong, told one by one where Hydra stops at the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nas.errors import nearest, not_allowed

Attempt = Callable[[list[str]], DictConfig]


def separate(
    overrides: Sequence[str],
    groups: dict[str, list[str]],
    attempt: Attempt,
    parse: Callable[[str], Override],
) -> tuple[list[str], DictConfig | None]:
    """Return the mistakes, and the configuration that the other overrides make (None if none).

    Choices of groups come first: they decide which keys there are.
    """
    parsed = [parse(text) for text in overrides]
    mistakes = [m for p in parsed if (m := _wrong_choice(p, groups))]
    good = [p for p in parsed if not _wrong_choice(p, groups)]
    ordered = [p for p in good if _group(p) in groups] + [p for p in good if _group(p) not in groups]
    accepted: list[str] = []
    config = _try(attempt, accepted)
    for p in ordered:
        new = _try(attempt, [*accepted, str(p.input_line)])
        if isinstance(new, DictConfig):
            config = new
            accepted.append(str(p.input_line))
        else:
            mistakes.append(_explain(p, config, groups, new))
    return mistakes, config if isinstance(config, DictConfig) else None


def _try(attempt: Attempt, overrides: list[str]) -> DictConfig | str:
    try:
        return attempt(overrides)
    except (HydraException, OmegaConfBaseException) as error:
        return _first_line(error)


def _first_line(error: BaseException) -> str:
    while not str(error) and error.__cause__ is not None:  # Hydra wraps some in an empty one
        error = error.__cause__
    return (str(error) or type(error).__name__).splitlines()[0]


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
    wrong = [n for n in names if n is not None and str(n) not in options and str(n) not in nested]
    return not_allowed(_group(p), wrong[0], sorted([*options, *nested])) if wrong else None


def _explain(p: Override, config: DictConfig | str, groups: dict[str, list[str]], error: str) -> str:
    key = str(p.key_or_group)
    if p.is_sweep_override():
        return f"{p.input_line!r} names several values: add -m to run them all"
    if not isinstance(config, DictConfig):
        return f"{p.input_line!r}: {error}"
    parent = key.rpartition(".")[0]
    holder = OmegaConf.select(config, parent) if parent else config
    if isinstance(holder, ListConfig):
        return f"{key}: the list {parent} has {len(holder)} items, so the last is {parent}.{len(holder) - 1}"
    if OmegaConf.select(config, key) is None and "@" not in key:
        known = [k for k in _keys("", config) if not k.startswith("hydra.")] + list(groups)
        return f"{key} is not a key{nearest(key, known) or _siblings(parent, holder)}"
    return f"{p.input_line!r}: {error}"


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
