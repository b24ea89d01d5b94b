"""What a run is told at a rung."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Answer = Literal["go on", "pause", "stop"]
"""``go on``; ``pause``: save and leave, to be continued one day or never; ``stop``: this is the end."""
GO_ON: Answer = "go on"
PAUSE: Answer = "pause"
STOP: Answer = "stop"

Rung = Callable[[float, dict[str, float]], Answer]
"""Told (share of the budget, metrics) at an evaluation before the end; says what the run does next."""


def go_on(progress: float, metrics: dict[str, float]) -> Answer:
    """Let a run go on at every rung."""
    return GO_ON
