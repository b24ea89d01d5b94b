"""A search space: the keys of a sweep's ``space`` as parameters that depend on each other."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import optuna

from nas.errors import InputError, nearest
from nas.search.spaces import sizes
from nas.search.spaces.base import Base
from nas.search.spaces.compared import misspelt
from nas.search.spaces.conditions import Condition, Holds, Values, When, both
from nas.search.spaces.expressions import Expression, Lookup
from nas.search.spaces.literals import Scalar, nested_literal, plain
from nas.search.spaces.parameters import Choice, Parameter
from nas.search.spaces.reading import Entry, flatten, form_of, read_entry, with_condition
from nas.search.spaces.slots import Slots


class Space:
    """What varies, and how it depends on what else is chosen.

    Args:
        described: key to its form, as in YAML.
        forbid: conditions over the configuration; where one is met, a configuration is not tried.
        base: the configuration that is varied; without one, conditions see the space's keys alone.

    Raises:
        InputError: one sentence for each key whose form is wrong.
    """

    def __init__(
        self, described: dict[str, Any], forbid: Iterable[str] = (), base: Base | None = None
    ) -> None:
        self._base = base
        mistakes: list[str] = []
        found: dict[str, Entry] = {}
        self._when: dict[str, Expression] = {}
        self.forbid: list[Expression] = []
        if not described:
            mistakes.append(
                "space={} is empty: name at least one key, such as optimizer.lr: {low: 1e-4, high: 1e-2}"
            )
        for key, form in flatten(described).items():
            with _collected(mistakes):
                found[key] = read_entry(key, form)
                if isinstance(form, dict) and form.get("when") is not None:
                    self._when[key] = Expression(form["when"], f"space.{key}.when")
        for index, text in enumerate(forbid):
            with _collected(mistakes):
                self.forbid.append(Expression(text, f"forbid.{index}"))
        mistakes.extend(self._unknown_in_conditions(found))
        mistakes.extend(misspelt((*self._when.values(), *self.forbid), found, self._conditional(found), base))
        mistakes.extend(_chosen_twice(found))
        if mistakes:
            raise InputError(*mistakes)
        self.entries: list[Entry] = _in_order(found, self._when)
        self._bind()
        self._parameters = [p for e in self.entries for p in _parameters(e)]

    def parameters(self) -> list[Parameter]:
        """Return every parameter, those of lists included, each after those that it depends on."""
        return list(self._parameters)

    def overrides(self, trial: optuna.trial.BaseTrial) -> list[str]:
        """Return the trial's values as Hydra overrides: the trial's identity."""
        return self.render(lambda parameter: parameter.suggest(trial))

    def render(self, value_of: Callable[[Parameter], Scalar]) -> list[str]:
        """Return overrides for the values that ``value_of`` gives."""
        return lines(self.changes(self.walk(value_of)))

    def walk(self, value_of: Callable[[Parameter], Scalar]) -> dict[str, Scalar]:
        """Ask for every parameter that the earlier ones make one of this configuration."""
        values: dict[str, Scalar] = {}
        for parameter in self._parameters:
            if parameter.condition is None or parameter.condition.holds(values):
                values[parameter.name] = value_of(parameter)
        return values

    def draw(self, stream: random.Random) -> dict[str, Scalar]:
        """Return a random configuration's parameters; what is forbidden is among them."""
        return self.walk(lambda parameter: parameter.draw(stream))

    def changes(self, values: Values, only: Collection[str] | None = None) -> dict[str, Any]:
        """Return configuration keys and what parameters set them to; ``only`` some of the keys."""
        changed: dict[str, Any] = {}
        for entry in self.entries:
            if only is None or entry.name in only:
                changed.update(_changes(entry, values))
        return changed

    def needed_by(self, entry: Entry) -> set[str]:
        """Return the keys that decide whether one is asked for, and those that decide these."""
        found: set[str] = set()
        waiting = [entry]
        while waiting:
            other = waiting.pop()
            block, when = self._holder(other), self._when.get(other.name)
            read = [e.name for e in self.entries if when and when.reads(e.name)]
            keys = {*([block.slots.key] if block else []), *read} - found
            found |= keys
            waiting.extend(e for e in self.entries if e.name in keys)
        return found

    def scope(self, values: Values) -> Lookup:
        """Return what reads a key for conditions: as varied, or as the shared configuration has it."""
        entries = {entry.name: entry for entry in self.entries}
        rest: list[Lookup] = []

        def lookup(key: str) -> Any:
            entry = entries.get(key)
            if entry is not None and _in_use(entry, values):
                return entry.value(values) if isinstance(entry, Slots) else plain(values[key])
            if self._base is None:
                raise InputError(f"{key} is not a key of the space")
            if not rest:
                rest.append(self._base.lookup(self.changes(values)))
            return rest[0](key)

        return lookup

    def forbidden(self, values: Values) -> Expression | None:
        """Return the first condition that forbids a configuration."""
        scope = self.scope(values)
        return next((expression for expression in self.forbid if expression.holds(scope)), None)

    def size(self) -> float:
        """Return the number of configurations, forbidden ones included; infinite if one is continuous."""
        return sizes.count(self.entries, continuous=True)

    def discrete_size(self) -> float:
        """Return the number of configurations without the continuous parameters."""
        return sizes.count(self.entries, continuous=False)

    def is_restricted(self) -> bool:
        """Return whether conditions leave out some of the configurations that `size` counts."""
        tied = any(isinstance(e, Slots) and isinstance(e.tie, Choice) for e in self.entries)
        return bool(self.forbid or self._when or tied)

    def describe(self) -> dict[str, str]:
        """Return key to its values, in words."""
        return {e.name: f"{e}{self._condition_in_words(e)}" for e in self.entries}

    def forms(self) -> dict[str, dict[str, Any]]:
        """Return key to its form, as data: two spaces with equal forms hold the same configurations."""
        texts = {key: str(expression) for key, expression in self._when.items()}
        return {entry.name: form_of(entry, texts.get(entry.name)) for entry in self.entries}

    def _condition_in_words(self, entry: Entry) -> str:
        told = [f"'{block.block}' in {block.slots.key}"] if (block := self._holder(entry)) else []
        told += [str(self._when[entry.name])] if entry.name in self._when else []
        return f", when {' and '.join(told)}" if told else ""

    def _bind(self) -> None:
        """Give every entry its condition: its block in a list, and the user's own."""
        self._lists = [entry for entry in self.entries if isinstance(entry, Slots)]
        for index, entry in enumerate(self.entries):
            expression = self._when.get(entry.name)
            own: Condition | None = When(expression, self.scope) if expression else None
            self.entries[index] = with_condition(entry, both(self._holder(entry), own))
            self._lists = [entry for entry in self.entries if isinstance(entry, Slots)]

    def _holder(self, entry: Entry) -> Holds | None:
        """Return the condition of a block's setting: that a list which varies holds the block."""
        for slots in self._lists:
            block = block_of(entry.name, slots)
            if block is not None:
                return Holds(slots, block)
        return None

    def _conditional(self, found: Mapping[str, Entry]) -> list[str]:
        """Return the keys that are asked for only where a condition is met."""
        lists = [entry for entry in found.values() if isinstance(entry, Slots)]
        return [k for k in found if k in self._when or any(block_of(k, slots) for slots in lists)]

    def _unknown_in_conditions(self, found: Mapping[str, Entry]) -> list[str]:
        if self._base is None:
            return []
        known = {*found, *self._base.known()}
        roots = {key for key in found if "." not in key}
        return [
            f"{expression.place}={expression.text!r}: {key} is not a key{nearest(key, known)}"
            for expression in (*self._when.values(), *self.forbid)
            for key in sorted(expression.keys)
            if key not in known and key.split(".")[0] not in roots
        ]


def _chosen_twice(found: Mapping[str, Entry]) -> list[str]:
    return [
        f"space.{key} is a part of space.{slots.key}, which chooses it already: take one of them out"
        for slots in found.values()
        if isinstance(slots, Slots)
        for key in found
        if key.startswith(f"{slots.key}.")
    ]


class _collected:  # noqa: N801  reads as a statement
    """Adds the mistakes of its block to a list."""

    def __init__(self, mistakes: list[str]) -> None:
        self._mistakes = mistakes

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, InputError):
            self._mistakes.extend(error.mistakes)
            return True
        return False


def lines(changes: Mapping[str, Any]) -> list[str]:
    """Return changed keys as overrides."""
    return [f"{key}={nested_literal(value)}" for key, value in changes.items()]


def block_of(key: str, slots: Slots) -> str | None:
    """Return the block of a list's pool whose setting ``key`` is."""
    inside = key.removeprefix(f"{slots.pool}.")
    return inside.split(".")[0] if inside != key and "." in inside else None


def _parameters(entry: Entry) -> list[Parameter]:
    return entry.parameters() if isinstance(entry, Slots) else [entry]


def _in_use(entry: Entry, values: Values) -> bool:
    return (entry.items[0].name if isinstance(entry, Slots) else entry.name) in values


def _changes(entry: Entry, values: Values) -> dict[str, Any]:
    if not _in_use(entry, values):
        return {}
    return entry.changes(values) if isinstance(entry, Slots) else {entry.name: plain(values[entry.name])}


def _in_order(found: Mapping[str, Entry], when: Mapping[str, Expression]) -> list[Entry]:
    """Return entries such that each comes after those that it depends on, otherwise as they were.

    Raises:
        InputError: conditions wait for each other.
    """
    lists = [entry for entry in found.values() if isinstance(entry, Slots)]
    ordered: dict[str, Entry] = {}

    def waits_for(key: str) -> Iterator[str]:
        yield from (slots.key for slots in lists if block_of(key, slots) is not None)
        yield from (k for k in found if key in when and when[key].reads(k))

    while len(ordered) < len(found):
        ready = [k for k in found if k not in ordered and all(w in ordered for w in waits_for(k))]
        if not ready:
            circle = [f"space.{key}.when" for key in found if key not in ordered]
            raise InputError(f"{' and '.join(circle)} wait for each other: no condition may name its own key")
        ordered[ready[0]] = found[ready[0]]
    return list(ordered.values())
