"""Where a thread's time goes: functions are wrapped from outside, and every moment belongs to a stage."""

from __future__ import annotations

import functools
import importlib
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

OTHER = "other"
"""The stage of all that is not wrapped."""

Lap = dict[str, tuple[float, float]]
"""Stage to (wall, CPU) seconds."""


class Stopwatch:
    """Splits the time of one thread among stages: a moment belongs to the innermost wrapped call.

    Args:
        opaque: stages whose inner calls are theirs, whatever they are wrapped as.
    """

    def __init__(self, opaque: Collection[str] = ()) -> None:
        self._opaque = frozenset(opaque)
        self._thread = threading.get_ident()
        self._stack = [OTHER]
        self._spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._since = _now()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside as ``name``; other threads are not counted."""
        if threading.get_ident() != self._thread or self._stack[-1] in self._opaque:
            yield
            return
        self._count()
        self._stack.append(name)
        try:
            yield
        finally:
            self._count()
            self._stack.pop()

    def lap(self) -> Lap:
        """Return what was counted since the last lap, and start again."""
        self._count()
        lap = {name: (wall, cpu) for name, (wall, cpu) in self._spent.items()}
        self._spent.clear()
        return lap

    def wrap(self, owner: Any, name: str, stage: str) -> None:
        """Replace a function of a module or class by one that is counted."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def counted(*args: Any, **kwargs: Any) -> Any:
            with self.stage(stage):
                return original(*args, **kwargs)

        setattr(owner, name, counted)

    def wrap_all(self, stages: Mapping[str, Collection[str]]) -> None:
        """Wrap functions given as ``module:name`` or ``module:Class.name``, by stage."""
        for stage, paths in stages.items():
            for path in paths:
                self.wrap(*find(path), stage)

    def _count(self) -> None:
        now = _now()
        spent = self._spent[self._stack[-1]]
        spent[0] += now[0] - self._since[0]
        spent[1] += now[1] - self._since[1]
        self._since = now


def find(path: str) -> tuple[Any, str]:
    """Return (module or class, attribute) for ``module:name`` or ``module:Class.name``."""
    module, _, inside = path.partition(":")
    *owners, name = inside.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    return owner, name


@contextmanager
def restored(paths: Collection[str]) -> Iterator[None]:
    """Put functions back where they were, after the block wrapped or replaced them."""
    before = [(*place, vars(place[0]).get(place[1], None)) for place in map(find, paths)]
    try:
        yield
    finally:
        for owner, name, original in before:
            if original is None:
                delattr(owner, name)  # it was inherited
            else:
                setattr(owner, name, original)


def _now() -> tuple[float, float]:
    return time.monotonic(), time.thread_time()
