"""Everything in a space that cannot be built, found before the first trial."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Iterable, Iterator
from typing import Any

from nas.config.build import AnyRun, run_of
from nas.config.compose import Composed, with_values
from nas.errors import InputError, nearest
from nas.search.spaces.base import Base
from nas.search.spaces.conditions import Holds
from nas.search.spaces.literals import Scalar, plain
from nas.search.spaces.parameters import Choice, Parameter
from nas.search.spaces.reading import Entry, flatten, read_entry
from nas.search.spaces.slots import Slots
from nas.search.spaces.space import Space, block_of, lines

_DRAWS = 1000


def choice_mistakes(composed: Composed, space: Space) -> list[str]:
    """Build every choice once on the meta device, and return what is wrong with which."""
    wrong = _unknown_keys(composed, space) or _without_effect(composed, space)
    found: dict[str, None] = dict.fromkeys(wrong.values())
    for entry in space.entries:
        if entry.name in wrong:
            continue
        try:
            context = _context(space, entry)
        except InputError as error:
            found.update(dict.fromkeys(error.mistakes))
            continue
        for changes in probes(entry):
            mistakes = _build_mistakes(composed, entry.name, {**context, **changes}, changes)
            found.update(dict.fromkeys(mistakes))
    return _once_for_all_slots(found, space)


def mistakes_beside(composed: Composed, described: dict[str, Any]) -> list[str]:
    """Return what is wrong with the choices of those keys whose forms can be read, conditions left out."""
    sound: dict[str, Any] = {}
    for key, form in flatten(described).items():
        with contextlib.suppress(InputError):
            read_entry(key, form)
            sound[key] = {k: v for k, v in form.items() if k != "when"} if isinstance(form, dict) else form
    return choice_mistakes(composed, Space(sound, base=Base(composed))) if sound else []


def build_meta(composed: Composed) -> AnyRun:
    """Build a run without memory for its weights.

    Raises:
        InputError: it cannot be built.
    """
    import torch

    with torch.device("meta"):
        return run_of(composed)


def probes(entry: Entry) -> Iterator[dict[str, Any]]:
    """Yield changes for every choice of a key, the ends of ranges included."""
    if not isinstance(entry, Slots):
        for value in entry.probes():
            yield _changes_of(entry, {entry.name: value})
        return
    first = _one_of_each(entry)
    for choice in entry.items[0].choices:
        yield entry.changes({**first, **{name: choice for name in first if name in _items(entry)}})
    others = [p for p in entry.parameters() if p.name not in _items(entry)]
    for parameter in others:
        for value in parameter.probes()[1:]:
            longer = {i.name: entry.items[0].choices[0] for i in entry.items[: _length(entry, value)]}
            same = parameter is entry.length
            yield entry.changes({**first, **(longer if same else {}), parameter.name: value})


def _items(entry: Slots) -> set[str]:
    return {item.name for item in entry.items}


def _length(entry: Slots, value: Scalar) -> int:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else len(entry.items)


def _one_of_each(entry: Slots) -> dict[str, Scalar]:
    """Return the shortest list of the first choice."""
    values = {p.name: p.probes()[0] for p in entry.parameters() if p.name not in _items(entry)}
    used = len(entry.items) if entry.length is None else values[entry.length.name]
    values.update({item.name: item.probes()[0] for item in entry.items[: int(used)]})  # type: ignore[arg-type]
    return values


def _changes_of(entry: Parameter, values: dict[str, Scalar]) -> dict[str, Any]:
    return {entry.name: plain(values[entry.name])}


def _context(space: Space, entry: Entry) -> dict[str, Any]:
    """Return what else must be chosen for a key to be asked for.

    Raises:
        InputError: no sample asks for it.
    """
    first = entry.items[0] if isinstance(entry, Slots) else entry
    if first.condition is None:
        return {}
    if isinstance(first.condition, Holds):
        slots, block = first.condition.slots, first.condition.block
        holding = next(c for c in slots.items[0].choices if block in slots.names_in(c))
        values = _one_of_each(slots)
        return slots.changes({name: holding if name in _items(slots) else v for name, v in values.items()})
    needed = space.needed_by(entry)
    stream = random.Random(0)
    for _ in range(_DRAWS):
        drawn = space.draw(stream)
        if first.name in drawn:
            return space.changes(drawn, only=needed)
    raise InputError(f"space.{entry.name} is never asked for: none of {_DRAWS} samples meets its condition")


def _build_mistakes(composed: Composed, key: str, changes: dict[str, Any], told: dict[str, Any]) -> list[str]:
    try:
        build_meta(with_values(composed, "train", lines(changes)))
    except InputError as error:
        place = " ".join(lines(told))
        return [m if key in m else f"space: {place}: {m}" for m in error.mistakes]
    return []


def _once_for_all_slots(mistakes: Iterable[str], space: Space) -> list[str]:
    """Return one of sentences that differ only in the slot of a list: each choice stood in all of them."""
    keys = [re.escape(entry.name) for entry in space.entries if isinstance(entry, Slots)]
    place = re.compile(rf"\b({'|'.join(keys)})\.\d+" if keys else "(never)^")
    return list({place.sub(r"\1", m): m for m in reversed(list(mistakes))}.values())[::-1]


def _unknown_keys(composed: Composed, space: Space) -> dict[str, str]:
    """Return a sentence for each key that is none; what stands in a group that varies is built to see."""
    known = Base(composed).keys
    groups = {entry.name for entry in space.entries if entry.name in composed.choices}
    return {
        e.name: f"space: {e.name} is not a key{nearest(e.name, known)}"
        for e in space.entries
        if e.name not in known and not (e.name.split(".")[0] in groups and "." in e.name)
    }


def _without_effect(composed: Composed, space: Space) -> dict[str, str]:
    """Return a sentence for each setting of a block that no list can hold."""
    lists = [entry for entry in space.entries if isinstance(entry, Slots)]
    varied = {entry.name for entry in space.entries}
    held = composed.values().get("encoder", {}).get("hidden_cls")
    if "encoder.hidden_cls" not in varied and isinstance(held, list):
        names = [name for name in held if isinstance(name, str)]
        if all(isinstance(name, str) for name in held):
            lists.append(Slots("encoder.hidden_cls", tuple(_fixed(names))))
    return {
        entry.name: f"space: {entry.name} has no effect: {slots.key} never holds {block}"
        f"{nearest(block, slots.names)}"
        for entry in space.entries
        for slots in lists
        if (block := block_of(entry.name, slots)) is not None and block not in slots.names
    }


def _fixed(names: list[str]) -> Iterator[Choice]:
    for index, name in enumerate(names):
        yield Choice(f"encoder.hidden_cls.{index}", (name,))
