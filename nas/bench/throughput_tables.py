"""The tables of the bench ``throughput``: a line for each side, the best form of each rival told apart."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

HEADINGS = ("side", "step", "tokens/s", "share of the limit", "peak memory", "its time / ours")


def throughput_tables(results: dict[str, Any]) -> list[Table | str]:
    """Return a table for each shape, and a line for each rival's best form."""
    settings, limits = results["settings"], results["limits"]
    where = f"{settings['device']}, {settings['threads']} thread(s)"
    limit = ", ".join(f"{name} {value / 1e9:.0f} GFLOP/s" for name, value in limits.items())
    parts: list[Table | str] = [f"products of {where}: {limit}"]
    for shape in dict.fromkeys(row["shape"] for row in results["rows"]):
        rows = [row for row in results["rows"] if row["shape"] == shape]
        parts += [_table(shape, rows), *_told(rows)]
    return parts


def best_forms(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the fastest row of each rival."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if "ratio" not in row:
            continue
        held = found.get(row["rival"])
        if held is None or row["ratio"] < held["ratio"]:
            found[row["rival"]] = row
    return list(found.values())


def _table(shape: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=f"{shape}: one training step", title_justify="left")
    losses = any("loss" in row for row in rows)
    for heading in (*HEADINGS, *(["loss"] if losses else [])):
        table.add_column(heading, justify="left" if heading == "side" else "right")
    for row in rows:
        if "absent" in row:
            table.add_row(escape(row["name"]), f"[dim]{escape(row['absent'])}[/dim]")
            continue
        cells = [escape(row["name"]), *_cells(row)]
        table.add_row(*cells, *([f"{row['loss']:.3f}"] if losses else []))
    return table


def _cells(row: dict[str, Any]) -> list[str]:
    times = row["milliseconds"]
    spread = f"{times['median']:.1f} ms ({times['low']:.1f}-{times['high']:.1f})"
    share, memory = f"{row['utilisation']:.0%} of {row['precision']}", f"{row['peak_mib']:.0f} MiB"
    return [spread, f"{row['tokens_per_second']:,.0f}", share, memory, _ratio(row)]


def _ratio(row: dict[str, Any]) -> str:
    if "ratio" not in row:
        return str(row["precision"])
    low, high = row["interval"]
    return f"{row['ratio']:.2f} ({low:.2f}-{high:.2f})"


def _told(rows: list[dict[str, Any]]) -> list[str]:
    return [escape(f"best of {row['rival']}: {row['name']}, {_ratio(row)}") for row in best_forms(rows)]
