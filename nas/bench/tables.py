"""The table of the bench ``blocks``: a line for each rival, a column for each shape."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

SLOWER = 0.95
"""Below this ratio a block counts as slower than its rival."""


def block_tables(results: dict[str, Any]) -> list[Table | str]:
    """Return the table of all blocks, and one line for what is slower than a public module."""
    settings = results["settings"]
    where = f"{settings['device']}, {settings['precision']}, {settings['threads']} thread(s)"
    table = Table(title=f"forward and backward; rival's time / ours ({where})", title_justify="left")
    shapes = list(dict.fromkeys(tuple(row["shape"].values()) for row in results["rows"]))
    for heading in ("block", "against"):
        table.add_column(heading)
    for shape in shapes:
        table.add_column("x".join(map(str, shape)), justify="right", no_wrap=True)
    for block in dict.fromkeys(row["block"] for row in results["rows"]):
        found = {tuple(row["shape"].values()): row for row in results["rows"] if row["block"] == block}
        for line in _lines(block, [found.get(shape) for shape in shapes]):
            table.add_row(*line)
        table.add_section()
    slower = results["slower"]
    told = f"slower than {SLOWER} of a public module: {', '.join(slower)}" if slower else ""
    return [
        table,
        *_notes(results["rows"]),
        escape(told) or f"no block is slower than {SLOWER} of its public counterpart",
    ]


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    """Return a line for each block that could not be built and each rival that is not there."""
    notes: dict[str, None] = {}
    for row in rows:
        if "error" in row:
            notes[f"{row['block']} {_sizes(row)}: {row['error']}"] = None
        for rival in row["rivals"]:
            if "absent" in rival:
                notes[f"{row['block']}, {rival['name']}: {rival['absent']}"] = None
    return [escape(note) for note in notes]


def _lines(block: str, rows: list[dict[str, Any] | None]) -> list[list[str]]:
    lines = [[block, "(ours)", *(_ours(row) for row in rows)]]
    names = dict.fromkeys(rival["name"] for row in rows if row for rival in row["rivals"])
    for name in names:
        rivals = [_named(row, name) for row in rows]
        settings: dict[str, Any] = next((r["settings"] for r in rivals if r and r.get("settings")), {})
        with_settings = ", ".join(f"{k}={v}" for k, v in settings.items())
        text = f"{name} (ours with {with_settings})" if with_settings else name
        lines.append(["", text, *(_ratio(rival) for rival in rivals)])
    if not names:
        lines.append(["", "no public counterpart, no fast path", *("" for _ in rows)])
    return lines


def _sizes(row: dict[str, Any]) -> str:
    return "x".join(map(str, row["shape"].values()))


def _named(row: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    return next((rival for rival in row["rivals"] if rival["name"] == name), None) if row else None


def _ours(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return "no" if "error" in row else f"{row['milliseconds']['median']:.2f} ms"


def _ratio(rival: dict[str, Any] | None) -> str:
    if rival is None:
        return ""
    if "absent" in rival:
        return "absent"
    low, high = rival["interval"]
    text = f"{rival['ratio']:.2f} ({low:.2f}-{high:.2f})"
    return f"[red]{text}[/red]" if rival["ratio"] < SLOWER else text
