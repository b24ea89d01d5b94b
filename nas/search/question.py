"""What a study asks: fixed when the study is made, and compared when it is continued."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from nas.search.space import Space


@dataclass(frozen=True)
class Question:
    """A space, what all its trials share, and what is looked at.

    Attributes:
        name: of the study and its folder.
        space: what varies.
        base: the overrides that all trials share.
        config: the resolved configuration that these make, but for where files go.
        objective: the metric.
        direction: ``minimize`` or ``maximize``.
        task: the task's name.
        seed: of the sampler and of every run.
    """

    name: str
    space: Space
    base: tuple[str, ...]
    config: dict[str, Any]
    objective: str
    direction: Literal["minimize", "maximize"]
    task: str
    seed: int

    def told(self) -> dict[str, Any]:
        """Return the question as ``study.json`` holds it."""
        return {
            "study": self.name,
            "objective": self.objective,
            "direction": self.direction,
            "task": self.task,
            "seed": self.seed,
            "overrides": list(self.base),
            "space": self.space.describe(),
            "config": self.config,
        }

    def differences(self, before: dict[str, Any]) -> list[str]:
        """Return ``key=old, now new`` for all that differs from what an earlier start told.

        The text of overrides may differ, in order for instance, as long as the configuration does not.
        """
        decisive = ("objective", "direction", "space", "config")
        old = dict(leaves({k: before.get(k) for k in decisive}))
        new = dict(leaves({k: self.told()[k] for k in decisive}))
        return [
            f"{key.removeprefix('config.')}={old.get(key)!r}, now {new.get(key)!r}"
            for key in dict.fromkeys([*old, *new])
            if old.get(key) != new.get(key)
        ]


def leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of everything below ``node`` that holds nothing itself."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    nested = [(f"{prefix}.{key}" if prefix else str(key), child) for key, child in items]
    if not nested and prefix:
        yield prefix, node
    for key, child in nested:
        yield from leaves(child, key)
