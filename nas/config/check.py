"""Every mistake of a composed configuration, found without building or importing anything heavy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from omegaconf.errors import OmegaConfBaseException

from nas.config.links import resolved
from nas.config.signatures import Annotation, Signature, signature_of
from nas.config.targets import target_mistake
from nas.config.types import allowed, choices, fits, typed_keys
from nas.errors import InputError, nearest
from nas.slots import expand, unknown_names

_SPECIAL = ("_target_", "_partial_")
_LINK = re.compile(r"\$\{([\w.]+)\}")
_MANY = 4
"""From this many unknown keys on, a node is told once: it is not meant for its target at all."""


def mistakes_in(plain: dict[str, Any], root: str, trusted: Iterable[str]) -> list[str]:
    """Return one sentence for each mistake in a configuration; an empty list means that it can be built.

    Args:
        plain: the values as composed, links not yet followed.
        root: dotted path of the dataclass that says which top-level keys exist.
        trusted: further prefixes of targets.
    """
    missing = sorted(_missing("", plain))
    if missing:
        return [f"{key} is required: add {key}=..." for key in missing]
    try:
        values = resolved(plain)
    except OmegaConfBaseException as error:
        return [f"{error.full_key or 'config'}: {str(error).splitlines()[0]}"]
    signature = signature_of(root)
    assert signature is not None
    found = _node_mistakes("", values, signature, tuple(trusted))
    found += _path_mistakes(values.get("paths"))
    found += _slot_mistakes(values.get("encoder"))
    return _without_echoes(found, plain) if found else []


def _missing(path: str, value: Any) -> Iterator[str]:
    """Yield the keys without a value; links are passed by, because the key is missing in one place."""
    if value == "???":
        yield path
    for key, child in _children(value):
        yield from _missing(f"{path}.{key}" if path else str(key), child)


def _children(value: Any) -> Iterable[tuple[Any, Any]]:
    """Return key and value of what a dict or list holds; nothing for anything else."""
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _node_mistakes(
    path: str, node: dict[str, Any], signature: Signature, trusted: tuple[str, ...]
) -> list[str]:
    parameters = signature.parameters
    given = {k: v for k, v in node.items() if not (path and k in _SPECIAL)}
    unknown = [] if signature.open else [k for k in given if k not in parameters]
    mistakes = _unknown_keys(path, unknown, parameters)
    for key in [k for k in given if k not in unknown]:
        annotation = parameters.get(key, Annotation(None, ""))
        mistakes.extend(_value_mistakes(f"{path}.{key}" if path else key, node[key], annotation, trusted))
    if not node.get("_partial_"):
        absent = sorted(signature.required - node.keys())
        mistakes.extend(f"{path}.{key} is required" if path else f"{key} is required" for key in absent)
    return mistakes


def _unknown_keys(path: str, unknown: list[str], parameters: dict[str, Annotation]) -> list[str]:
    if path and len(unknown) >= _MANY:
        return [
            f"{path} has keys that its _target_ does not take: {unknown}; allowed are {sorted(parameters)}"
        ]
    prefix = f"{path}." if path else ""
    return [f"{prefix}{key} is not a key here{_offer(path, key, parameters)}" for key in unknown]


def _value_mistakes(path: str, value: Any, annotation: Annotation, trusted: tuple[str, ...]) -> list[str]:
    if isinstance(value, dict) and "_target_" in value:
        return _target_mistakes(path, value, trusted)
    if not fits(value, annotation):
        literal = choices(annotation)
        offer = nearest(str(value), [str(c) for c in literal]) if isinstance(value, str) else ""
        shown = "{...}" if isinstance(value, dict) else repr(value)
        return [f"{path}={shown} must be {allowed(annotation)}{offer}"]
    if isinstance(value, dict) and (keys := typed_keys(annotation)):
        return _node_mistakes(path, value, keys, trusted)
    unknown = Annotation(None, "")
    return [
        m
        for key, child in _children(value)
        for m in _value_mistakes(f"{path}.{key}", child, unknown, trusted)
    ]


def _target_mistakes(path: str, node: dict[str, Any], trusted: tuple[str, ...]) -> list[str]:
    target = node["_target_"]
    mistake = target_mistake(f"{path}._target_", target, trusted)
    if mistake:
        return [mistake]
    if not isinstance(node.get("_partial_", False), bool):
        return [f"{path}._partial_={node['_partial_']!r} must be true (a fresh one) or false (one, shared)"]
    return _node_mistakes(path, node, signature_of(target) or _imported(target), trusted)


def _imported(target: str) -> Signature:
    import inspect

    from torch import nn

    parameters = inspect.signature(getattr(nn, target.rpartition(".")[2])).parameters
    free = {k: Annotation(None, "") for k, p in parameters.items() if p.kind is not p.VAR_KEYWORD}
    return Signature(free, frozenset(), open=len(free) < len(parameters))


def _offer(path: str, key: str, parameters: dict[str, Annotation]) -> str:
    prefix = f"{path}." if path else ""
    offer = nearest(f"{prefix}{key}", [f"{prefix}{p}" for p in parameters])
    return offer or f"; allowed are {sorted(parameters)}"


def _path_mistakes(paths: Any) -> list[str]:
    """Refuse empty paths: an environment variable set to nothing would fill the current folder."""
    empty = [key for key, path in _children(paths) if path == ""]
    return [f"paths.{key} is empty: name a folder (NAS_CACHE sets paths.cache, if set)" for key in empty]


def _slot_mistakes(encoder: Any) -> list[str]:
    if not isinstance(encoder, dict) or not isinstance(encoder.get("hidden_cls"), list):
        return []
    depth, blocks = encoder.get("num_layers"), encoder.get("blocks")
    if not isinstance(blocks, dict):
        return []
    found = [
        f"encoder.blocks.{name}={block!r} must be a node with _target_"
        for name, block in blocks.items()
        if not isinstance(block, dict) or "_target_" not in block
    ]
    found.extend(unknown_names(encoder["hidden_cls"], blocks))
    if isinstance(depth, int | None):
        try:
            expand(encoder["hidden_cls"], depth)
        except InputError as error:
            found.extend(error.mistakes)
    return found


def _without_echoes(mistakes: list[str], plain: Any) -> list[str]:
    """Drop what is told of a key whose value is only a link to another key that is told of as well."""
    links = dict(_links("", plain))
    told = {_key_of(m) for m in mistakes}
    return [m for m in mistakes if not any(key in told for key in _linked(_key_of(m), links))]


def _links(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and (link := _LINK.fullmatch(value)):
        yield path, link[1]
    for key, child in _children(value):
        yield from _links(f"{path}.{key}" if path else str(key), child)


def _linked(key: str, links: dict[str, str]) -> Iterator[str]:
    """Yield what ``key`` stands for: the key its own link names, or one below a linked node."""
    for path, source in links.items():
        if key == path or key.startswith(f"{path}."):
            yield source + key[len(path) :]


def _key_of(mistake: str) -> str:
    return re.split(r"[= ]", mistake, maxsplit=1)[0]
