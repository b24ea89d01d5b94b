"""Texts that conditions compare with a key of the space: a misspelt one is never met, and says nothing."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas.errors import InputError, not_allowed
from nas.search.spaces.expressions import Expression, index_of, key_of
from nas.search.spaces.literals import plain
from nas.search.spaces.parameters import Choice
from nas.search.spaces.reading import Entry
from nas.search.spaces.slots import Slots

if TYPE_CHECKING:
    from nas.search.spaces.base import Base


@dataclass(frozen=True)
class Compared:
    """A text that stands beside a key in a condition.

    Attributes:
        key: of the configuration.
        text: what its value is compared with.
        of_item: whether it is compared with the items of a list.
        index: of the only item that it is compared with.
    """

    key: str
    text: str
    of_item: bool
    index: int | None = None


def compared_in(node: ast.expr) -> Iterator[Compared]:
    """Yield what a condition compares by ``==``, ``!=``, ``in`` and ``not in``, and what it counts."""
    for part in ast.walk(node):
        match part:
            case ast.Compare(left=left, ops=ops, comparators=others):
                for op, (before, after) in zip(ops, itertools.pairwise([left, *others]), strict=True):
                    yield from _in_pair(op, before, after)
            case ast.Call(func=ast.Name(id="count"), args=[values, text]):
                yield from _beside(values, [text], of_item=True)


def _in_pair(op: ast.cmpop, before: ast.expr, after: ast.expr) -> Iterator[Compared]:
    if isinstance(op, ast.Eq | ast.NotEq):
        yield from _beside(before, [after])
        yield from _beside(after, [before])
    elif isinstance(op, ast.In | ast.NotIn):
        if isinstance(after, ast.List | ast.Tuple):
            yield from _beside(before, after.elts)
        else:
            yield from _beside(after, [before], of_item=True)


def _beside(value: ast.expr, others: Iterable[ast.expr], of_item: bool = False) -> Iterator[Compared]:
    index = None
    if isinstance(value, ast.Subscript) and not of_item:
        index, value, of_item = index_of(value.slice), value.value, True
    key = key_of(value)
    for other in others:
        if key is not None and isinstance(other, ast.Constant) and isinstance(other.value, str):
            yield Compared(key, other.value, of_item, index)


def misspelt(
    expressions: Iterable[Expression],
    entries: Mapping[str, Entry],
    conditional: Iterable[str],
    base: Base | None,
) -> list[str]:
    """Say which texts are no values of the keys that they are compared with.

    Args:
        expressions: the conditions.
        entries: key to what it may be.
        conditional: keys that are not always varied; they may be what another key of the space makes them.
        base: the configuration that is varied.
    """
    free = frozenset(conditional)
    mistakes = []
    for expression in expressions:
        for found in dict.fromkeys(compared_in(expression.body)):
            found = _of_own(found, entries)
            known = _texts(entries[found.key], found.of_item) if found.key in entries else []
            if not known or found.text in known:
                continue  # nothing is known of it, or it is right
            if base is not None and _may_be(found, entries, found.key in free, base):
                continue
            mistake = not_allowed(found.key, found.text, known)
            mistakes.append(f"{expression.place}={expression.text!r}: {mistake}")
    return mistakes


def _of_own(found: Compared, entries: Mapping[str, Entry]) -> Compared:
    """Return a comparison with an item of a list as one with the item's own key, where that varies."""
    item = f"{found.key}.{found.index}"
    return Compared(item, found.text, of_item=False) if item in entries else found


def _texts(entry: Entry, of_item: bool) -> list[str]:
    """Return the texts among an entry's values, or their items; none if links or mappings are among them."""
    if isinstance(entry, Slots):
        return entry.names if of_item else []
    values = [plain(choice) for choice in entry.choices] if isinstance(entry, Choice) else []
    if of_item:
        values = [item for value in values if isinstance(value, list) for item in value]
    if any(isinstance(value, dict) or "${" in str(value) for value in values):
        return []
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))


def _may_be(found: Compared, entries: Mapping[str, Entry], free: bool, base: Base) -> bool:
    """Return whether a key may have a value that the space does not give it."""
    others = [entry for key, entry in entries.items() if key != found.key]
    if free and any(base.is_choice(entry.name) for entry in others):
        return True  # what is chosen there may bring any value
    linked = [text for entry in others for text in _texts(entry, found.of_item)] if free else []
    return found.text in (*linked, *_shared(found, base), *base.names_for(found.key))


def _shared(found: Compared, base: Base) -> list[Any]:
    """Return what the shared configuration has."""
    try:
        value = base.lookup({})(found.key)
    except InputError:
        return []
    return value if isinstance(value, list) and found.of_item else [value]
