"""Whether a value from a config fits an annotation, and how to say what would."""

from __future__ import annotations

import ast
import math
from typing import Any

from nas.config.signatures import Annotation, Signature, is_class, keys_of, resolve_alias

_CONTAINERS = {
    "list[int]": "a list of integers",
    "list[float]": "a list of numbers",
    "list[str]": "a list of texts",
    "list[str | int]": "a list of texts",
    "list": "a list",
    "dict": "keys with values",
}
_SCALARS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


def fits(value: Any, annotation: Annotation) -> bool:
    """Return whether ``value`` fits; a class whose source is known takes a node that builds one."""
    return any(_fits_one(value, one) for one in _alternatives(annotation))


def allowed(annotation: Annotation) -> str:
    """Return what fits, in words: ``an integer or null``, ``one of ['pre', 'post']``."""
    words = [_word(one) for one in _alternatives(annotation)]
    return " or ".join(w for w in words if w)


def choices(annotation: Annotation) -> list[Any]:
    """Return the values of a ``Literal``, or an empty list."""
    return [c for one in _alternatives(annotation) for c in _literal(one.node)]


def typed_keys(annotation: Annotation) -> Signature | None:
    """Return the keys that a ``TypedDict`` allows and what fits each, None for any other annotation."""
    named = [one for one in _alternatives(annotation) if isinstance(one.node, ast.Name)]
    found = (keys_of(one.module, one.node.id) for one in named if isinstance(one.node, ast.Name))
    return next((keys for keys in found if keys), None)


def _fits_one(value: Any, one: Annotation) -> bool:
    node = one.node
    if literal := _literal(node):
        return any(value == c and type(value) is type(c) for c in literal)
    if isinstance(node, ast.Constant) and node.value is None:
        return value is None
    if isinstance(node, ast.Name) and node.id in _SCALARS:
        right = isinstance(value, _SCALARS[node.id]) and not _is_nan(value)
        return right and (node.id == "bool" or not isinstance(value, bool))
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        return _fits_container(value, node.value.id, node.slice, one.module)
    if isinstance(node, ast.Name) and node.id in ("list", "dict"):
        return isinstance(value, list if node.id == "list" else dict)
    if node is None or _is_any(node):
        return True
    if isinstance(node, ast.Name) and keys_of(one.module, node.id):
        return isinstance(value, dict)
    if isinstance(node, ast.Name) and is_class(one.module, node.id):
        return isinstance(value, dict) and "_target_" in value
    return not isinstance(value, int | float | None)


def _fits_container(value: Any, container: str, inner: ast.expr, module: str) -> bool:
    if container == "list":
        return isinstance(value, list) and all(fits(v, Annotation(inner, module)) for v in value)
    if container == "dict" and isinstance(inner, ast.Tuple):
        values = Annotation(inner.elts[1], module)
        return isinstance(value, dict) and all(fits(v, values) for v in value.values())
    return not isinstance(value, int | float | None)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _is_any(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("Any", "object")


def _alternatives(annotation: Annotation) -> list[Annotation]:
    """Split unions, and follow aliases such as ``NormSite = Literal[...]`` to what they mean."""
    node, module = annotation.node, annotation.module
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_alternatives(Annotation(node.left, module)), *_alternatives(Annotation(node.right, module))]
    if isinstance(node, ast.Name) and node.id not in _SCALARS:
        alias = resolve_alias(module, node.id)
        if alias is not None:
            return _alternatives(alias)
    return [annotation]


def _literal(node: ast.expr | None) -> list[Any]:
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return [item.value for item in items if isinstance(item, ast.Constant)]
    return []


def _word(one: Annotation) -> str:
    if literal := _literal(one.node):
        return f"one of {literal}"
    if one.node is None:
        return "anything"
    text = ast.unparse(one.node)
    if isinstance(one.node, ast.Name) and keys_of(one.module, text):
        return "keys with values"
    if isinstance(one.node, ast.Name) and is_class(one.module, text):
        return "a node with _target_"
    if isinstance(one.node, ast.Subscript):
        container = ast.unparse(one.node.value)
        return _CONTAINERS.get(text) or _CONTAINERS.get(container) or f"a {container}"
    plain = {
        "int": "an integer",
        "float": "a number",
        "str": "a text",
        "bool": "true or false",
        "None": "null",
    }
    return plain.get(text, f"a {text}")
