"""What a search shows while it runs: a live leaderboard in a terminal, a line for each trial elsewhere."""

from __future__ import annotations

import time
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from nas.progress import console, duration, quantity, say
from nas.search.leaderboard import STATES

if TYPE_CHECKING:
    from rich.table import Table

    from nas.search.objectives import Objectives

Rows = list[dict[str, Any]]
SHOWN = 10


class Display:
    """Told of every ended trial; shows the best so far and the time left.

    Args:
        n_trials: in all.
        objectives: what a trial is judged by.
        rows: of the trials that earlier starts left, in the order of their states.
    """

    def __init__(self, n_trials: int, objectives: Objectives, rows: Rows) -> None:
        self.n_trials = n_trials
        self.objectives = objectives
        self.started = time.monotonic()
        self._here: set[int] = set()
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

    def ended(self, ended: Rows, rows: Rows) -> None:
        """Trials have ended, or are paused.

        Args:
            ended: their rows.
            rows: all by now, in the order of their states.
        """
        self.rows = rows
        for row in ended:
            self._here.add(row["number"])
            self._tell(row)

    def _tell(self, row: dict[str, Any]) -> None:
        value = ", ".join(values_in_words(row)) or "-"
        reason = f"  ({row['reason']})" if row["reason"] else ""
        words = [
            f"[{self._count_ended()}/{self.n_trials}]",
            f"trial {row['number']}",
            row["state"].lower(),
            value,
        ]
        say(
            f"{' '.join(words)}  {row['architecture'] or ''}{reason}  {self._status()}".replace(
                "  ", " "
            ).strip()
        )

    def _count_ended(self) -> int:
        """Return how many trials are over, or paused, from where few of them go on."""
        return self._before("RUNNING")

    def _before(self, state: str) -> int:
        """Return how many rows come before those of a state: to look at ten thousand takes milliseconds."""
        return bisect_left(self.rows, STATES.index(state), key=lambda row: STATES.index(row["state"]))

    def _status(self) -> str:
        best = self.rows[0] if self._before("PRUNED") else None
        parts = [self._best(best)] if best else []
        paused = self._before("FAIL") - self._before("PAUSED")
        parts += [f"{paused} paused"] if paused else []
        left = self.seconds_left()
        if left is not None:
            parts.append(f"about {duration(left)} left")
        return f"| {', '.join(parts)}" if parts else ""

    def _best(self, best: dict[str, Any]) -> str:
        if len(self.objectives) == 1:
            return f"best {best['value']:.4f} (trial {best['number']})"
        return f"{sum(row['front'] for row in self.rows)} on the front"

    def seconds_left(self) -> float | None:
        """Return the expected time to the end, from the pace since this start."""
        missing = self.n_trials - self._count_ended()
        if not self._here or missing <= 0:
            return None
        return (time.monotonic() - self.started) / len(self._here) * missing

    def _render(self) -> Table:
        table = leaderboard_table(self.rows, self.objectives)
        running = f"; running {', '.join(self._running)}" if self._running else ""
        table.caption = f"{self._count_ended()} of {self.n_trials} trials{running} {self._status()}"
        return table


def leaderboard_table(rows: Rows, objectives: Objectives, limit: int = SHOWN) -> Table:
    """Return the best rows as a table; of several objectives the front, along its first objective."""
    from rich.table import Table

    several = len(objectives) > 1
    done = [row for row in rows if row["state"] == "COMPLETE" and "inherited" not in row]
    table = Table(title="Pareto front" if several else "leaderboard", title_justify="left")
    names = [objective.name for objective in objectives]
    sized = any(row["parameters"] for row in done)
    more = ["parameters"] if sized and "cost/parameters" not in names else []
    for heading in ("" if several else "rank", "trial", *names, *more, "seconds"):
        table.add_column(heading, justify="right")
    table.add_column("architecture", overflow="fold")
    shown = along_the_front(done) if several else done[:limit]
    for rank, row in enumerate(shown, start=1):
        place = ("knee" if row["knee"] else "") if several else str(rank)
        size = [quantity(row["parameters"] or 0)] if more else []
        seconds = f"{row['seconds'] or 0:.1f}"
        table.add_row(
            place, str(row["number"]), *values_in_words(row), *size, seconds, _what(row),
            style="bold" if several and row["knee"] else None,
        )  # fmt: skip
    return table


def _what(row: dict[str, Any]) -> str:
    return row["architecture"] or " ".join(row["overrides"])


def along_the_front(rows: Rows) -> Rows:
    """Return the front of several objectives by its first objective; equal points once."""
    front = {tuple(row["values"].values()): row for row in reversed(rows) if row["front"]}
    return sorted(front.values(), key=lambda row: (row["value"], row["number"]))


def values_in_words(row: dict[str, Any]) -> list[str]:
    """Return a row's objectives as text."""
    if row.get("values"):
        return [_number(value) for value in row["values"].values()]
    return [] if row["value"] is None else [f"{row['value']:.4f}"]


def _number(value: float) -> str:
    return quantity(value) if abs(value) >= 1000 else f"{value:.4f}"
