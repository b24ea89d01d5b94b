"""The markers in a manifest's config, which stand for classes, objects, functions and enumerations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nas.errors import InputError

MARKERS = ("$class", "$instance", "$ref", "$attr", "$act", "$init", "$enum")


@dataclass(frozen=True)
class ClassForm:
    """A class of the original, by name."""

    name: str


@dataclass(frozen=True)
class InstanceForm:
    """An object of the original: one for each ``number``, however often it occurs."""

    name: str
    number: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class AttributeForm:
    """An attribute, by its dotted path, of the object with that number."""

    number: str
    path: str


def decode(config: Any) -> Any:
    """Return a config with its markers replaced by forms; names of functions and enums are plain text.

    An initializer becomes None: its values are overwritten.

    Raises:
        InputError: a marker is unknown, or names an object that is not there.
    """
    return _decode(config, {node["id"]: node for node in _nodes(config) if "$instance" in node})


def _decode(value: Any, instances: Mapping[str, Any]) -> Any:
    if isinstance(value, list | tuple):
        return [_decode(item, instances) for item in value]
    if not isinstance(value, Mapping):
        return value
    marker = next((key for key in value if str(key).startswith("$")), None)
    if marker is None:
        return {key: _decode(item, instances) for key, item in value.items()}
    if marker == "$class":
        return ClassForm(value["$class"])
    if marker in ("$instance", "$ref"):
        return _instance(value[marker] if marker == "$ref" else value["id"], instances)
    if marker == "$attr":
        return AttributeForm(value["$attr"]["ref"], value["$attr"]["path"])
    if marker in ("$act", "$enum"):
        return value[marker].rpartition(".")[2]
    if marker == "$init":
        return None
    raise InputError(f"marker {marker!r} of the config is not one of {list(MARKERS)}")


def _instance(number: str, instances: Mapping[str, Any]) -> InstanceForm:
    if number not in instances:
        raise InputError(f"$ref={number!r} names no $instance; there are {sorted(map(str, instances))}")
    node = instances[number]
    return InstanceForm(node["$instance"], number, _decode(node.get("config", {}), instances))


def _nodes(config: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every dict inside a config."""
    if isinstance(config, Mapping):
        yield config
    children = config.values() if isinstance(config, Mapping) else config
    for child in children if isinstance(config, Mapping | list | tuple) else ():
        yield from _nodes(child)
