"""The trials of this process that have begun and not ended, and which of them only wait for the others."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nas.search.samplers.tree import Step


@dataclass
class _Trial:
    path: Sequence[Step]
    thread: int
    waits: bool = False


class UnderWay:
    """How far each trial has come, also with values that it was given and has not stored yet."""

    def __init__(self) -> None:
        self._trials: dict[int, _Trial] = {}

    def begin(self, number: int) -> None:
        """Note that this thread has a trial."""
        self._mine(number)

    def come(self, number: int, path: Sequence[Step]) -> None:
        """Note how far a trial of this thread has come."""
        self._mine(number).path = path

    def way(self, number: int, stored: Sequence[Step]) -> Sequence[Step]:
        """Return how far a trial has come, of which so much is stored; of others no more is known."""
        trial = self._trials.get(number)
        return stored if trial is None else max(stored, trial.path, key=len)

    def end(self, number: int) -> None:
        """Forget a trial, of this process or not."""
        self._trials.pop(number, None)

    def busy(self, elsewhere: bool = False) -> bool:
        """Return whether a trial, or one of another thread, goes on without waiting for others."""
        here = threading.get_ident()
        return any(not t.waits and not (elsewhere and t.thread == here) for t in self._trials.values())

    @contextlib.contextmanager
    def waiting(self, number: int) -> Iterator[None]:
        """Note that a trial of this thread waits for others, which need not wait for it."""
        trial = self._mine(number)
        trial.waits = True
        try:
            yield
        finally:
            trial.waits = False

    def _mine(self, number: int) -> _Trial:
        return self._trials.setdefault(number, _Trial((), threading.get_ident()))
