"""What a study asks: fixed when the study is made, and compared when it is continued."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nas.provenance import changed_data
from nas.search.objectives import Objectives
from nas.search.spaces.compare import compare
from nas.search.spaces.space import Space


@dataclass(frozen=True)
class Question:
    """A space, what all its trials share, and what is looked at.

    Attributes:
        name: of the study and its folder.
        space: what varies.
        base: the overrides that all trials share.
        config: the resolved configuration that these make, but for where files go.
        objectives: what a trial is judged by.
        task: the task's name.
        seed: of the sampler and of every run.
        rules: what restricts the space, as configured: ``forbid``, ``constraints``, ``match``.
        data: what identifies the data that all trials share; empty until it is prepared.
    """

    name: str
    space: Space
    base: tuple[str, ...]
    config: dict[str, Any]
    objectives: Objectives
    task: str
    seed: int
    rules: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def several(self) -> bool:
        """Whether there is more than one objective."""
        return len(self.objectives) > 1

    def in_words(self) -> str:
        """Return the objectives as text."""
        return ", ".join(f"{o.direction} {o.name}" for o in self.objectives)

    def told(self) -> dict[str, Any]:
        """Return the question as ``study.json`` holds it."""
        return {
            "study": self.name,
            "objective": one_or_all([o.name for o in self.objectives]),
            "direction": one_or_all([o.direction for o in self.objectives]),
            "task": self.task,
            "seed": self.seed,
            "overrides": list(self.base),
            "space": self.space.describe(),
            "space_forms": self.space.forms(),
            "rules": self.rules,
            "data": self.data,
            "config": self.config,
        }

    def differences(self, before: dict[str, Any]) -> list[str]:
        """Return ``key=old, now new`` for all that differs from what an earlier start told.

        The text of overrides may differ, in order for instance, as long as the configuration does not,
        and the space may have gained choices.
        """
        decisive = ("objective", "direction", "rules", "config")
        old = dict(leaves({k: before.get(k) for k in decisive}))
        new = dict(leaves({k: self.told()[k] for k in decisive}))
        changed = [
            f"{key.removeprefix('config.')}={old.get(key)!r}, now {new.get(key)!r}"
            for key in dict.fromkeys([*old, *new])
            if old.get(key) != new.get(key)
        ]
        data = changed_data(before.get("data", {}), self.data)
        told = [f"other data than there is now ({', '.join(data)})"] if data else []
        return [*compare(before.get("space_forms", {}), self.space.forms()).changed, *changed, *told]

    def regrown(self, before: dict[str, Any]) -> bool:
        """Return whether choices are not what they were at an earlier start, if only in their order."""
        return compare(before.get("space_forms", {}), self.space.forms()).regrown

    def gained(self, before: dict[str, Any]) -> list[str]:
        """Return what the space has gained since an earlier start, one sentence for each key."""
        return compare(before.get("space_forms", {}), self.space.forms()).gained


def one_or_all(told: list[str]) -> str | list[str]:
    """Return a single item as itself, as ``study.json`` tells the objectives."""
    return told[0] if len(told) == 1 else told


def leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of everything below ``node`` that holds nothing itself."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    nested = [(f"{prefix}.{key}" if prefix else str(key), child) for key, child in items]
    if not nested and prefix:
        yield prefix, node
    for key, child in nested:
        yield from leaves(child, key)
