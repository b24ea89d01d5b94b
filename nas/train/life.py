"""Signs of life of the loop that trains: one at every step and every evaluated batch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


def _nobody() -> None:
    """Nobody listens."""


_listener: Callable[[], None] = _nobody


def sign() -> None:
    """Give a sign of life to whoever listens."""
    _listener()


@contextlib.contextmanager
def heard_by(listener: Callable[[], None]) -> Iterator[None]:
    """Have ``listener`` called at every sign of the run that this process trains in the block."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before
