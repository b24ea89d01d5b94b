"""A lock for a sampler that several threads ask."""

from __future__ import annotations

import threading
from typing import Any


class Turn:
    """One thread's turn after another's; a copy of its holder, in this process or another, has its own."""

    def __init__(self) -> None:
        self._condition = threading.Condition()

    def __enter__(self) -> None:
        self._condition.acquire()

    def __exit__(self, *failure: object) -> None:
        self._condition.release()

    def wait(self, seconds: float) -> None:
        """Let others have their turns, until one of them tells of a change or ``seconds`` have passed."""
        self._condition.wait(seconds)

    def changed(self) -> None:
        """Wake those that wait for a change."""
        self._condition.notify_all()

    def __reduce__(self) -> tuple[Any, ...]:
        return Turn, ()
