"""Nodes of an encoder's configuration: filled in as for a run, and built from trusted classes alone."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from nas.errors import InputError
from nas.scaffold_config import resolve


def fitted(node: dict[str, Any], seq_length: int, vocab_size: int | None) -> dict[str, Any]:
    """Fill in what a configuration leaves to its task, as `nas.config.build` does."""
    embedding = node.get("embedding")
    if not isinstance(embedding, Mapping):
        return node
    given = {"vocab_size": vocab_size, "max_seq_length": seq_length}
    embedding = {k: given[k] if k in given and v is None else v for k, v in embedding.items()}
    if "vocab_size" in embedding and embedding["vocab_size"] is None:
        raise InputError("encoder.embedding.vocab_size=None is left to a task: set it, or pass vocab_size=")
    length = embedding.get("max_seq_length")
    return {**node, "embedding": embedding, "blocks": _with_length(node.get("blocks"), length)}


def _with_length(node: Any, length: int | None) -> Any:
    if not isinstance(node, Mapping):
        return node
    fitted = {key: _with_length(value, length) for key, value in node.items()}
    if "_target_" in fitted and fitted.get("max_seq_length", 0) is None:
        fitted["max_seq_length"] = length
    return fitted


def ties(node: Mapping[str, Any]) -> bool:
    """Return whether a fresh block holds a shared one: then slots share a part of their weights."""
    inner = [*node.get("blocks", {}).values(), *(s for s in node.get("hidden_cls", []) if is_node(s))]
    return any(
        block.get("_partial_") and any(_is_shared_module(n) for n in _nodes_below(block))
        for block in inner
        if is_node(block)
    )


def _is_shared_module(node: Mapping[str, Any]) -> bool:
    if node.get("_partial_"):
        return False
    cls = resolve(str(node["_target_"]))
    return isinstance(cls, type) and issubclass(cls, nn.Module)


def _nodes_below(node: Any) -> Iterator[Mapping[str, Any]]:
    children = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    for child in children:
        if is_node(child):
            yield child
        yield from _nodes_below(child)


def is_node(value: Any) -> bool:
    """Return whether a value builds something."""
    return isinstance(value, Mapping) and "_target_" in value


def make(key: str, node: Any) -> Any:
    """Build what a node describes, as Hydra does, from classes that a configuration may name.

    Raises:
        InputError: a target is not trusted or no class, or does not take its arguments.
    """
    if isinstance(node, list | tuple):
        return [make(f"{key}.{i}", value) for i, value in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    if "_target_" not in node:
        return {k: make(f"{key}.{k}", value) for k, value in node.items()}
    cls = resolve(str(node["_target_"]))
    if not isinstance(cls, type):
        raise InputError(f"{key}._target_={node['_target_']!r} is not a class")
    arguments = {k: make(f"{key}.{k}", v) for k, v in node.items() if k not in ("_target_", "_partial_")}
    if node.get("_partial_"):
        return functools.partial(cls, **arguments)
    try:
        return cls(**arguments)
    except TypeError as error:
        raise InputError(f"{key}: {error}") from error
