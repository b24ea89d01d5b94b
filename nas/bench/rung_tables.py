"""The tables of the bench ``rungs``: a line for each setting, of recordings and of searches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

_FOUND = "rank of the best of {} {}, with its standard error"
_AGREES = "rank correlation of the loss after a share of the budget with the last one"


def rung_tables(results: dict[str, Any], budgets: Sequence[int], yardstick: str) -> list[Table | str]:
    """Return the tables of every recording and of every sampler on every table.

    Args:
        results: what the bench has measured.
        budgets: full trainings after which the best was looked at.
        yardstick: the setting that others are compared with.
    """
    parts = [part for told in results["recordings"] for part in _replayed(told, budgets, yardstick)]
    return parts + [part for told in results["tables"] for part in _searched(told, budgets)]


def _replayed(told: dict[str, Any], budgets: Sequence[int], yardstick: str) -> list[Table | str]:
    columns = [*(f"after {budget}" for budget in (*budgets, "all")), "work for all"]
    ranked = _table(_FOUND.format(told["candidates"], "candidates"), columns)
    beside = _table(f"the same minus that of {yardstick!r} in the same order", columns)
    for row in told["rows"]:
        ranked.add_row(row["name"], *_cells(row, ""), f"{row['work']:.1f}")
        beside.add_row(row["name"], *_cells(row["beside"], "+"), "")
    return [told["question"], ranked, beside, f"{_AGREES.capitalize()}: {_shares(told)}."]


def _searched(told: dict[str, Any], budgets: Sequence[int]) -> list[Table | str]:
    parts: list[Table | str] = []
    for search in told["searches"]:
        whose = f"{told['table']}, {search['sampler']}"
        if "absent" in search:
            parts.append(f"{whose}: {search['absent']}")
            continue
        columns = [f"after {budget}" for budget in budgets]
        table = _table(f"{whose}: {_FOUND.format(told['candidates'], 'lists')}", columns)
        for row in search["rows"]:
            table.add_row(row["name"], *_cells(row, ""))
        parts.append(table)
    return [*parts, f"{told['table']}, every run by itself: {_AGREES}: {_shares(told)}."]


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("rungs")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _cells(told: dict[str, list[float]], sign: str) -> list[str]:
    digits = 2 if sign else 1
    pairs = zip(told["mean"], told["error"], strict=True)
    return [f"{mean:{sign}.{digits}f} ± {error:.{digits}f}" for mean, error in pairs]


def _shares(told: dict[str, Any]) -> str:
    return ", ".join(f"{share:g}: {value:.2f}" for share, value in told["agreement"].items())
