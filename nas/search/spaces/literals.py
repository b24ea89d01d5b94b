"""Values as they are written in an override, such that Hydra reads the same value."""

from __future__ import annotations

import json
from typing import Any

from nas.config.overrides import as_item

Scalar = None | bool | int | float | str
"""What Optuna takes as a choice; lists and mappings are carried as JSON text."""


def literal(value: Scalar) -> str:
    """Return a value as it is written in an override."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        nested = nested_in(value)
        return as_item(value) if nested is None else nested_literal(nested)
    return repr(value)


def nested_literal(value: Any) -> str:
    """Return a list or mapping, or what stands in one, as it is written in an override."""
    if isinstance(value, list):
        return f"[{','.join(map(nested_literal, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{nested_literal(child)}' for key, child in value.items())}}}"
    return as_item(value) if isinstance(value, str) else literal(value)


def carried(value: Any) -> Scalar:
    """Return a value as Optuna can hold it."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def plain(value: Scalar) -> Any:
    """Return the value that `carried` was given."""
    nested = nested_in(value) if isinstance(value, str) else None
    return value if nested is None else nested


def nested_in(text: str) -> list[Any] | dict[str, Any] | None:
    """Return the list or mapping that a choice carries as JSON text, or None if it is none."""
    if not text.startswith(("[", "{")):
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, list | dict) else None
