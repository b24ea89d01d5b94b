"""The tables of the bench ``tasks``: candidates with their intervals, winners on every task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nas.progress import duration, quantity
from nas.report.evidence import winner_sentences

if TYPE_CHECKING:
    from rich.table import Table


def tables_of(answer: Mapping[str, Any]) -> list[Table | str]:
    """Return an answer as a table and lines in plain words."""
    table = _winners(answer) if "winners" in answer else _candidates(answer)
    return [table, *_lines(answer), ""]


def shown(cell: Mapping[str, Any]) -> str:
    """Return a mean with its interval, which shares of right answers do not leave."""
    return f"{cell['mean']:.3f} [{max(0.0, cell['low']):.3f}, {_below_one(cell):.3f}]"


def _below_one(cell: Mapping[str, Any]) -> float:
    return min(1.0, cell["high"]) if cell["mean"] <= 1 else float(cell["high"])


def _candidates(answer: Mapping[str, Any]) -> Table:
    table = _table(f"{answer['question']}: {answer['text']}")
    chance = "" if answer["chance"] is None else f" (chance {answer['chance']:.3f})"
    others = [m for m in answer["rows"][0]["metrics"] if m != answer["metric"] and not m.endswith("loss")]
    headings = [f"{answer['metric']}{chance}", "each seed", *others, "best rate", "d", "parameters", "a run"]
    _add_columns(table, "candidate", headings)
    for row in answer["rows"]:
        seeds = " ".join(f"{value:.3f}" for value in row["values"])
        further = [f"{row['metrics'].get(m, 0.0):.3f}" for m in others]
        sizes = [f"{row['rate']:g}", str(row["hidden_size"]), quantity(row["parameters"])]
        table.add_row(row["candidate"], shown(row), seeds, *further, *sizes, duration(row["seconds"]))
    return table


def _winners(answer: Mapping[str, Any]) -> Table:
    table = _table(f"{answer['question']}: {answer['text']}")
    _add_columns(table, "winner for", [*answer["tasks"], "parameters"])
    best = {t: max(row["cells"][t]["mean"] for row in answer["winners"]) for t in answer["tasks"]}
    for row in answer["winners"]:
        cells = [
            f"[bold]{shown(c)}[/bold]" if c["mean"] == best[t] else shown(c) for t, c in row["cells"].items()
        ]
        table.add_row(f"{row['task']}: {row['architecture']}", *cells, quantity(row["parameters"]))
    return table


def _lines(answer: Mapping[str, Any]) -> list[str]:
    lines = [f"  {claim['claim']}: {claim['verdict']}, {claim['told']}" for claim in answer.get("claims", [])]
    if "winners" in answer:
        lines += [f"  {line}" for line in winner_sentences(answer)]
    rates = ", ".join(f"{rate:g}" for rate in answer["rates"])
    seeds = "1 seed" if answer["seeds"] == 1 else f"{answer['seeds']} seeds"
    runs = f"{seeds}, learning rates {rates}, found on {answer['tuned_on']}"
    partial = "" if answer["scale"] == 1 else f"; at {answer['scale']:g} of the budget: a quick look"
    return [*lines, f"  {runs}; {duration(answer['run_seconds'])} of training on one core{partial}"]


def _table(title: str) -> Table:
    from rich.table import Table

    return Table(title=title, title_justify="left")


def _add_columns(table: Table, first: str, others: list[str]) -> None:
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right")
