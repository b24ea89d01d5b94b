"""Things that are built later: a module class, or a `functools.partial` of one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from nas.errors import nearest

Factory = Callable[..., Any]


def is_factory(value: object) -> bool:
    """Return whether ``value`` is a module class or a partial, rather than a module."""
    return isinstance(value, functools.partial) or (isinstance(value, type) and issubclass(value, nn.Module))


def target_of(value: Any) -> Any:
    """Return what a partial calls; a class or module stands for itself."""
    return value.func if isinstance(value, functools.partial) else value


def name_of(value: Any) -> str:
    """Return the name of a class, function, partial or module (its class) for messages."""
    target = target_of(value)
    return str(getattr(target, "__name__", None) or type(target).__name__)


def given_to(factory: Factory) -> dict[str, Any]:
    """Return the arguments that a partial already holds, by name; ``{}`` for a class."""
    if not isinstance(factory, functools.partial):
        return {}
    names = list(_parameters(factory.func))
    return {**dict(zip(names, factory.args, strict=False)), **factory.keywords}


def accepts(factory: Factory, key: str, *, by_name_only: bool = False) -> bool:
    """Return whether a factory takes the keyword; ``by_name_only``: ``**kwargs`` does not count."""
    parameters = _parameters(target_of(factory))
    if key in parameters and parameters[key].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
    ):
        return True
    return not by_name_only and any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def call_mistakes(where: str, factory: Factory, keywords: Mapping[str, Any], source: str) -> list[str]:
    """Say which keywords a factory does not take, and which it misses.

    Args:
        where: the argument that holds the factory, such as ``hidden_cls[2]``.
        factory: what would be called.
        keywords: what it would be called with, besides what a partial holds.
        source: the argument that the keywords come from, such as ``hidden_cfg``.
    """
    parameters = _parameters(target_of(factory))
    names = [n for n, p in parameters.items() if p.kind in _NAMED]
    positional = set(names[: len(factory.args)] if isinstance(factory, functools.partial) else [])
    mistakes = [
        f"{source}.{key}={value!r} is no argument of {where}={name_of(factory)}; it has "
        f"{names}{nearest(key, names)}"
        for key, value in keywords.items()
        if not accepts(factory, key)
    ]
    mistakes += [
        f"{source}.{key} is given twice: {where}={name_of(factory)} already holds it by position"
        for key in keywords
        if key in positional
    ]
    held = {**given_to(factory), **keywords}
    missing = [n for n in names if parameters[n].default is inspect.Parameter.empty and n not in held]
    if missing:
        mistakes.append(f"{where}={name_of(factory)} needs {missing}: set them in {source}")
    return mistakes


def positional_count(function: Callable[..., Any]) -> int:
    """Return how many positional arguments a function takes by name (``*args`` not counted)."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds for p in _parameters(function).values())


def takes_any_number(function: Callable[..., Any]) -> bool:
    """Return whether a function takes ``*args``, or does not tell what it takes."""
    parameters = _parameters(function)
    return not parameters or any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters.values())


def plain(value: Any) -> Any:
    """Copy the dicts and lists around values that are kept as they are, so that callers keep theirs."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, nn.ModuleList):
        return list(value)
    if type(value) is tuple:
        return tuple(plain(item) for item in value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | tuple | range):
        return [plain(item) for item in value]
    return value


_signature = functools.cache(inspect.signature)
"""Of classes: an encoder asks sixty times for them while it is built."""
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        known = _signature if isinstance(function, type) else inspect.signature
        return known(function).parameters
    except ValueError:  # some built-in callables do not tell: anything may be passed
        both = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return {kind.name.lower(): inspect.Parameter(kind.name.lower(), kind) for kind in both}
