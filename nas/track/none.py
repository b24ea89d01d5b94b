"""No tracker: the run folder alone."""

from __future__ import annotations

from typing import Any

from nas.track.base import RunInfo, Tracker


class NoTracker(Tracker):
    """Ignores every event."""

    def start(self, info: RunInfo) -> None:
        """Ignore."""

    def log(self, metrics: dict[str, float]) -> None:
        """Ignore."""

    def finish(self, summary: dict[str, Any]) -> None:
        """Ignore."""
