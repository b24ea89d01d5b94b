"""What long work tells the user: a rich display in a terminal, plain lines elsewhere."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Say = Callable[[str], None]
"""Tells the user one line."""


@functools.cache
def console() -> Console:
    """Return the console of this process (standard error: standard output is for results)."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False)


def output(width: int) -> Console:
    """Return the console of results, on standard output; ``width`` columns where no terminal has its own."""
    from rich.console import Console

    watched = sys.stdout is not None and sys.stdout.isatty()  # None: it was closed
    return Console(width=None if watched else width)


def say(line: str) -> None:
    """Print one line, without markup."""
    console().print(line, markup=False)


def silent(line: str) -> None:
    """Say nothing: for workers and tests."""


def duration(seconds: float) -> str:
    """Return a short form such as ``45 s``, ``3 min 10 s`` or ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def quantity(value: float) -> str:
    """Return a short form such as ``950``, ``12.3k``, ``4.56M``."""
    rounded = float(f"{value:.3g}")  # first, so that 999,960 becomes 1M and not 1000k
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(rounded) >= limit:
            scaled = rounded / limit
            return f"{scaled:.3g}{unit}" if abs(scaled) < 1000 else f"{scaled:.0f}{unit}"
    return f"{rounded:.3g}"
