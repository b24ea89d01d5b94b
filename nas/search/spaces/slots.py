"""A list of blocks as parameters: its slots, its length, how often it is tiled, and what shares weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.search.spaces.literals import Scalar, plain
from nas.search.spaces.parameters import Choice, Parameter

_REPEAT = "nas.blocks.recursive.repeat.Repeat"


@dataclass(frozen=True)
class Slots:
    """A list of which every item is a parameter.

    A choice that is a list stands for several items in a row; ``{span: [a, b], repeat: n}`` for one
    item that runs these blocks n times with the same weights.

    Attributes:
        key: of the list, such as ``encoder.hidden_cls``.
        items: one parameter for each slot that the longest list has.
        length: how many of them are in use; None: all.
        repeat: how often the whole is tiled: a number, or a parameter.
        total: to how many items it is tiled instead, the last repetition cut.
        tie: whether items of one name share weights; None: the pool decides.
    """

    key: str
    items: tuple[Choice, ...]
    length: Parameter | None = None
    repeat: Parameter | int = 1
    total: Parameter | int | None = None
    tie: Choice | bool | None = None

    @property
    def name(self) -> str:
        """The key."""
        return self.key

    def parameters(self) -> list[Parameter]:
        """Return its parameters in the order in which they are asked for."""
        more = [p for p in (self.repeat, self.total, self.tie) if not isinstance(p, bool | int | None)]
        return [*([self.length] if self.length else []), *self.items, *more]

    @property
    def pool(self) -> str:
        """The key of the blocks that it names."""
        return f"{self._parent}blocks"

    @property
    def names(self) -> list[str]:
        """Every block that it may hold."""
        return list(dict.fromkeys(n for item in self.items for c in item.choices for n in self.names_in(c)))

    @staticmethod
    def names_in(choice: Scalar) -> list[str]:
        """Return the blocks that one choice names, in order."""
        value = plain(choice)
        inner = value["span"] if isinstance(value, dict) else value if isinstance(value, list) else [value]
        return [name for name in inner if isinstance(name, str)]

    def drawn(self, values: Mapping[str, Scalar]) -> list[Scalar]:
        """Return the choices of the slots in use."""
        return [values[item.name] for item in self.items if item.name in values]

    def value(self, values: Mapping[str, Scalar]) -> list[Any]:
        """Return the list as a condition sees it: names, each as often as it runs."""
        return [name for item in self._tiled(values) for name in _unrolled(item)]

    def changes(self, values: Mapping[str, Scalar]) -> dict[str, Any]:
        """Return configuration keys and what its values set them to: the list, and what is shared."""
        items = self._tiled(values)
        return {self.key: [self._written(item) for item in items], **self._shared(items, values)}

    def repeats(self, values: Mapping[str, Scalar]) -> bool:
        """Return whether a block stands in more than one place of the list."""
        names = [item for item in self._tiled(values) if isinstance(item, str)]
        return len(set(names)) < len(names)

    def completed(self, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Return values with those of the parameters that have one only, where they are asked for."""
        known = dict(values)
        for parameter in self.parameters():
            if parameter.size() > 1 or parameter is self.tie:
                continue
            if parameter.condition is None or parameter.condition.holds(known):
                known[parameter.name] = parameter.probes()[0]
        return known

    def _tiled(self, values: Mapping[str, Scalar]) -> list[Any]:
        """Return names and spans, lists among the choices laid out."""
        choices = map(plain, self.drawn(values))
        pattern = [i for choice in choices for i in (choice if isinstance(choice, list) else [choice])]
        total = _known(self.total, values)
        if total is None:
            return pattern * int(_known(self.repeat, values))
        return [pattern[i % len(pattern)] for i in range(int(total))]

    def _written(self, item: Any) -> Any:
        if not isinstance(item, dict):
            return item
        counted = Counter[str]()
        span = {}
        for name in item["span"]:
            counted[name] += 1
            span[name if counted[name] == 1 else f"{name}_{counted[name]}"] = f"${{{self.pool}.{name}}}"
        return {
            "_target_": _REPEAT, "_partial_": True, "hidden_size": f"${{{self._parent}hidden_size}}",
            "n": item.get("repeat", 2), "step_embedding": "none", "span": span,
        }  # fmt: skip

    def _shared(self, items: list[Any], values: Mapping[str, Scalar]) -> dict[str, bool]:
        again = [name for name, count in Counter(i for i in items if isinstance(i, str)).items() if count > 1]
        if self.tie is None or not again:
            return {}
        fresh = not _known(self.tie, values)
        return {f"{self.pool}.{name}._partial_": fresh for name in again}

    @property
    def _parent(self) -> str:
        return self.key[: self.key.rfind(".") + 1]

    def __str__(self) -> str:
        count = f"{self.length.low:g} to {self.length.high:g}" if self.length else f"{len(self.items)}"  # type: ignore[union-attr]
        words = f"{count} slots, each {self.items[0]}"
        if self.total is not None:
            words += f"; tiled to {self.total}"
        elif self.repeat != 1:
            words += f"; times {self.repeat}"
        if self.tie is not None:
            words += "; weights shared by name" + ("" if self.tie is True else f": {self.tie}")
        return words


def _known(part: Parameter | Choice | bool | int | None, values: Mapping[str, Scalar]) -> Any:
    """Return a fixed value, or the value of a parameter."""
    return part if isinstance(part, bool | int | None) else values[part.name]


def _unrolled(item: Any) -> list[Any]:
    return list(item["span"]) * item.get("repeat", 2) if isinstance(item, dict) else [item]
