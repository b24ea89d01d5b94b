"""Conditions over a configuration as users write them, such as ``count(encoder.hidden_cls, 'attn') <= 2``."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from nas.errors import InputError

Lookup = Callable[[str], Any]
"""Returns the value of a configuration key."""

_LONGEST = 1000
_CONSTANTS = {"true": True, "false": False, "null": None}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.In: lambda a, b: a in _list(b), ast.NotIn: lambda a, b: a not in _list(b),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "count": (2, lambda values, value: _list(values).count(value)),
    "len": (1, len), "min": (1, min), "max": (1, max), "sum": (1, sum), "abs": (1, abs),
}  # fmt: skip
_ALLOWED = f"keys, numbers, 'text', lists, + - * / // %, comparisons, in, and, or, not, {sorted(_FUNCTIONS)}"


class Expression:
    """A condition that is read once and evaluated often; it can do nothing but compare values.

    It is Python's grammar without most of it: no attribute, name or call leads anywhere but to a key
    of the configuration or to one of a few functions. ``encoder.hidden_cls[0]``, or as in an override
    ``encoder.hidden_cls.0``, is an item of a list, null beyond its end.

    Args:
        text: the condition.
        place: where it stands, for messages.

    Raises:
        InputError: it cannot be read, or uses something else.
    """

    def __init__(self, text: Any, place: str) -> None:
        self.text, self.place = text, place
        if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
            example = "'attn' in encoder.hidden_cls"
            raise InputError(f"{place}={text!r} must be a condition, such as {example}")
        try:
            self.body = ast.parse(_in_brackets(text.strip()), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise InputError(f"{place}={text!r} cannot be read: it may hold {_ALLOWED}") from None
        named = self._named_below(self.body)
        items = list(_items_below(self.body))
        self.keys: frozenset[str] = frozenset(str(key_of(node)) for node in named)
        self._items = frozenset(f"{key_of(node)}.{index}" for node, index in items)
        self._whole = frozenset(str(key_of(n)) for n in named if all(n is not node for node, _ in items))

    def __str__(self) -> str:
        return str(self.text)

    def reads(self, key: str) -> bool:
        """Return whether the condition needs a key's value: by its name, or as an item of a list."""
        holder, _, last = key.rpartition(".")
        return key in self.keys or key in self._items or (last.isdecimal() and holder in self._whole)

    def holds(self, value_of: Lookup) -> bool:
        """Return whether the condition is met.

        Raises:
            InputError: the values do not fit it, or it is no condition but a value.
        """
        try:
            result = self._value(self.body, value_of)
        except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
            raise self._mistake(str(error)) from None
        if not isinstance(result, bool):
            raise self._mistake(f"it gives {result!r}, not true or false")
        return result

    def _mistake(self, what: str) -> InputError:
        return InputError(f"{self.place}={self.text!r}: {what}")

    def _named_below(self, node: ast.expr) -> list[ast.expr]:
        """Return the nodes that name keys, and refuse every node that is not allowed."""
        key = key_of(node)
        if key is not None:
            return [] if key in _CONSTANTS else [node]
        return [named for child in self._children(node) for named in self._named_below(child)]

    def _children(self, node: ast.expr) -> list[ast.expr]:
        match node:
            case ast.BoolOp(values=children) | ast.List(elts=children) | ast.Tuple(elts=children):
                return children
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                return [operand]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return [left, right]
            case ast.Compare(left=left, ops=ops, comparators=others) if {
                *map(type, ops)
            } <= _COMPARISONS.keys():
                return [left, *others]
            case ast.Constant(value=None | bool() | int() | float() | str()):
                return []
            case ast.Subscript(value=value, slice=index) if index_of(index) is not None:
                return [value]
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
                if len(args) != _FUNCTIONS[name][0]:
                    raise self._mistake(f"{name} takes {_FUNCTIONS[name][0]} arguments, not {len(args)}")
                return args
        raise self._mistake(f"{ast.unparse(node)!r} is not allowed here; allowed are {_ALLOWED}")

    def _value(self, node: ast.expr, value_of: Lookup) -> Any:
        key = key_of(node)
        if key is not None:
            return _CONSTANTS[key] if key in _CONSTANTS else value_of(key)
        match node:
            case ast.Constant(value=value):
                return value
            case ast.BoolOp(op=op, values=values):
                decisive = isinstance(op, ast.Or)
                found = next((1 for v in values if self._truth(v, value_of) is decisive), None)
                return decisive if found else not decisive
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self._truth(operand, value_of)
            case ast.UnaryOp(operand=operand):
                return -_number(self._value(operand, value_of))
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._compared(left, ops, others, value_of)
            case ast.BinOp(left=left, op=op, right=right):
                numbers = [_number(self._value(side, value_of)) for side in (left, right)]
                return _ARITHMETIC[type(op)](*numbers)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self._value(item, value_of) for item in items]
            case ast.Subscript(value=value, slice=index):
                return _item(self._value(value, value_of), index_of(index))
            case ast.Call(func=ast.Name(id=name), args=args):
                return _FUNCTIONS[name][1](*(self._value(arg, value_of) for arg in args))
        raise AssertionError(ast.dump(node))

    def _truth(self, node: ast.expr, value_of: Lookup) -> bool:
        value = self._value(node, value_of)
        if not isinstance(value, bool):
            raise TypeError(f"{ast.unparse(node)} is {value!r}, not true or false")
        return value

    def _compared(
        self, left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr], value_of: Lookup
    ) -> bool:
        before = self._value(left, value_of)
        for op, other in zip(ops, others, strict=True):
            after = self._value(other, value_of)
            if not _COMPARISONS[type(op)](before, after):
                return False
            before = after
        return True


def key_of(node: ast.expr) -> str | None:
    """Return the dotted key that names and attributes spell, or None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = key_of(node.value)
        return None if before is None else f"{before}.{node.attr}"
    return None


_TEXT_OR_KEY = re.compile(r"'[^']*'|\"[^\"]*\"|[^\W\d]\w*(?:\.\w+)+")


def _in_brackets(text: str) -> str:
    """Return a condition with ``key.0`` as ``key[0]``, which is Python's grammar."""
    return _TEXT_OR_KEY.sub(lambda m: m[0] if m[0][0] in "'\"" else re.sub(r"\.(\d+)\b", r"[\1]", m[0]), text)


def _items_below(node: ast.expr) -> Iterator[tuple[ast.expr, int]]:
    """Yield the list and index of every single item that is read, those from the end left out."""
    for part in ast.walk(node):
        if isinstance(part, ast.Subscript) and (index := index_of(part.slice)) is not None and index >= 0:
            yield part.value, index


def index_of(node: ast.expr) -> int | None:
    """Return the whole number that stands in brackets, or None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = index_of(node.operand)
        return None if inner is None else -inner
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else None


def _list(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r} is no list")
    return values


def _item(values: Any, index: int | None) -> Any:
    values = _list(values)
    assert index is not None
    return values[index] if -len(values) <= index < len(values) else None


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value
