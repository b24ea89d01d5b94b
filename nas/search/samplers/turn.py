"""A lock for a sampler that several threads ask."""

from __future__ import annotations

import threading
from typing import Any


class Turn:
    """One thread's turn after another's; a copy of its holder, in this process or another, has its own."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *failure: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[Any, ...]:
        return Turn, ()
