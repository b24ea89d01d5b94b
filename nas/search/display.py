"""What a search shows while it runs: a live leaderboard in a terminal, a line for each trial elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from nas.progress import console, duration, quantity, say

if TYPE_CHECKING:
    from rich.table import Table

Rows = list[dict[str, Any]]
SHOWN = 10


class Display:
    """Told of every ended trial; shows the best so far and the time left.

    Args:
        n_trials: in all.
        objective: the metric's name.
        rows: of the trials that earlier starts left.
    """

    def __init__(self, n_trials: int, objective: str, rows: Rows) -> None:
        self.n_trials = n_trials
        self.objective = objective
        self.started = time.monotonic()
        self._ended_here = 0
        self.rows = rows
        self._running: list[str] = []
        self._live: Any = None

    def __enter__(self) -> Display:
        if console().is_terminal:
            from rich.live import Live

            self._live = Live(
                console=console(), get_renderable=self._render, refresh_per_second=2, transient=True
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, running: list[str]) -> None:
        """Show what is being trained."""
        self._running = running

    def ended(self, row: dict[str, Any], rows: Rows) -> None:
        """A trial has ended."""
        self._ended_here += 1
        self.rows = rows
        value = "-" if row["value"] is None else f"{row['value']:.4f}"
        reason = f"  ({row['reason']})" if row["reason"] else ""
        words = [
            f"[{count_ended(rows)}/{self.n_trials}]",
            f"trial {row['number']}",
            row["state"].lower(),
            value,
        ]
        say(
            f"{' '.join(words)}  {row['architecture'] or ''}{reason}  {self._status()}".replace(
                "  ", " "
            ).strip()
        )

    def _status(self) -> str:
        best = next((r for r in self.rows if r["state"] == "COMPLETE"), None)
        parts = [f"best {best['value']:.4f} (trial {best['number']})"] if best else []
        left = self.seconds_left()
        if left is not None:
            parts.append(f"about {duration(left)} left")
        return f"| {', '.join(parts)}" if parts else ""

    def seconds_left(self) -> float | None:
        """Return the expected time to the end, from the pace since this start."""
        missing = self.n_trials - count_ended(self.rows)
        if not self._ended_here or missing <= 0:
            return None
        return (time.monotonic() - self.started) / self._ended_here * missing

    def _render(self) -> Table:
        table = leaderboard_table(self.rows, self.objective)
        running = f"; running {', '.join(self._running)}" if self._running else ""
        table.caption = f"{count_ended(self.rows)} of {self.n_trials} trials{running} {self._status()}"
        return table


def count_ended(rows: Rows) -> int:
    """Return how many trials are over."""
    return sum(r["state"] in ("COMPLETE", "PRUNED", "FAIL") for r in rows)


def leaderboard_table(rows: Rows, objective: str, limit: int = SHOWN) -> Table:
    """Return the best rows as a table."""
    from rich.table import Table

    table = Table(title="leaderboard", title_justify="left")
    for heading in ("rank", "trial", objective, "parameters", "seconds"):
        table.add_column(heading, justify="right")
    table.add_column("architecture", overflow="fold")
    for rank, row in enumerate([r for r in rows if r["state"] == "COMPLETE"][:limit], start=1):
        size = quantity(row["parameters"] or 0)
        seconds = f"{row['seconds'] or 0:.1f}"
        table.add_row(
            str(rank), str(row["number"]), f"{row['value']:.4f}", size, seconds, row["architecture"]
        )
    return table
