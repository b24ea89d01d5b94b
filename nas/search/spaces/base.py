"""The configuration that all trials share, read as if some values were changed."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from nas.config import links
from nas.config.compose import Composed, with_values
from nas.config.groups import choices_of
from nas.errors import InputError
from nas.search.spaces.expressions import Lookup
from nas.search.spaces.literals import nested_literal


class Base:
    """Reads a composed configuration as if some keys had other values.

    Args:
        composed: what is shared.
    """

    def __init__(self, composed: Composed) -> None:
        self.composed = composed
        self._with_choices = functools.lru_cache(64)(self._compose)

    @functools.cached_property
    def keys(self) -> frozenset[str]:
        """Every key that the configuration has, groups included."""
        return frozenset([*dotted("", self.composed.values()), *self.composed.choices])

    def known(self) -> frozenset[str]:
        """Return every key."""
        return self.keys

    def lookup(self, changes: Mapping[str, Any]) -> Lookup:
        """Return what reads a key with some values changed; a group's value is the chosen name."""
        plain, choices = self.changed(changes)

        def read(key: str) -> Any:
            try:
                value = links.value_at(plain, key)
            except KeyError:
                if key in choices:
                    return choices[key]
                raise InputError(f"{key} is not a key of this configuration") from None
            return choices.get(key) if isinstance(value, dict) else value

        return read

    def changed(self, changes: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, str | None]]:
        """Return plain values with changes made, links kept, and the names chosen in each group.

        What was not changed is shared with other calls: it is to be left as it is.

        Raises:
            InputError: a chosen name does not exist.
        """
        chosen = {k: v for k, v in changes.items() if self.is_choice(k)}
        composed = self.composed
        if chosen:
            composed = self._with_choices(tuple(f"{k}={nested_literal(v)}" for k, v in chosen.items()))
        plain = dict(composed.plain)
        for key, value in changes.items():
            links.parted(plain, key)
            if key not in chosen and not links.set_plain(plain, key, value):
                texts = [f"{k}={nested_literal(v)}" for k, v in changes.items()]
                return with_values(self.composed, "train", texts).plain, composed.choices
        return plain, composed.choices

    def names_for(self, key: str) -> list[str]:
        """Return the choices of a group, or the blocks that a list or its item may name; else nothing."""
        if key in self.composed.choices:
            return choices_of(self.composed.overrides, key)
        holder = re.sub(r"\.\d+$", "", key).rpartition(".")[0]
        try:
            pool = links.value_at(self.composed.plain, f"{holder}.blocks")
        except KeyError:
            return []
        return [*pool] if isinstance(pool, dict) else []

    def is_choice(self, key: str) -> bool:
        """Return whether a key chooses what a group has."""
        return "@" in key or "/" in key or key in self.composed.choices

    def _compose(self, overrides: tuple[str, ...]) -> Composed:
        return with_values(self.composed, "train", overrides)


def dotted(prefix: str, value: Any) -> Iterator[str]:
    """Yield the key of everything in a configuration."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield f"{prefix}{key}"
        yield from dotted(f"{prefix}{key}.", child)
