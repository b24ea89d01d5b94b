"""What zero-cost scores are worth: how they order every list of our tables, beyond size."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nas.bench import trained
from nas.bench.base import Bench
from nas.bench.predictions import prediction_tables, predictions
from nas.config.build import run_of
from nas.config.compose import compose, with_values
from nas.errors import InputError, check_positive, not_allowed
from nas.search.correlation import Correlation
from nas.search.proxies.agreement import agreement
from nas.search.proxies.measured import scores_of
from nas.search.spaces.literals import nested_literal
from nas.search.spaces.space import Space

if TYPE_CHECKING:
    from rich.table import Table

    from nas.progress import Say

_SAID = 100


class Scores(Bench):
    """Scores the untrained model of every list in a table, and compares with what training gave.

    Args:
        tables: of ``sweeps/tables``; None: all.
        lists: how many of each, spread evenly; None: all.
        orders: random orders in which lists become known to the model that predicts results.

    Raises:
        InputError: a table is not there, or a number is out of range.
    """

    name: ClassVar[str] = "scores"

    def __init__(self, tables: list[str] | None = None, lists: int | None = None, orders: int = 20) -> None:
        check_positive(**{"bench.orders": orders})
        known = trained.packaged()
        wrong = [not_allowed("bench.tables", t, list(known)) for t in tables or () if t not in known]
        if lists is not None and lists < 64:
            wrong.append(f"bench.lists={lists} must be at least 64")
        if wrong:
            raise InputError(*wrong)
        self.lists, self.orders = lists, orders
        self.chosen = {name: known[name] for name in tables or known}

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Return for every table each score's correlations; see `nas.search.proxies.agreement`."""
        found = {name: self._measured(name, told, seed, report) for name, told in self.chosen.items()}
        return {"tables": found}

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return a table for each of our tables."""
        return [line for name, found in results["tables"].items() for line in _shown(name, found)]

    def _measured(self, name: str, told: dict[str, Any], seed: int, report: Say) -> dict[str, Any]:
        shared = compose("train", [f"sweep={name}", "tracker=none"])
        landscape = trained.landscape(told)
        rows = list(zip(landscape.rows, landscape.values, strict=True))
        step = max(1, len(rows) // (self.lists or len(rows)))
        scores, goodness, began = [], [], time.monotonic()
        chosen = rows[::step][: self.lists]
        for count, (values, worth) in enumerate(chosen, start=1):
            run = run_of(with_values(shared, "train", _overrides(values)), Path())
            scores.append(scores_of(run))
            goodness.append(worth)
            if count % _SAID == 0:
                report(f"{name}: {count} lists scored")
        seconds = (time.monotonic() - began) / len(scores)
        found, pairs = agreement(scores, goodness)
        told_of = {
            score: {"every": vars(every), "similar": vars(similar)}
            for score, (every, similar) in found.items()
        }
        space = Space(compose("search", [f"sweep={name}"]).values()["space"])
        predicted = predictions(space, [v for v, _ in chosen], scores, goodness, self.orders, seed)
        return {
            "lists": len(scores), "pairs": pairs, "seconds_each": seconds, "scores": told_of,
            "predicted": predicted,
        }  # fmt: skip


def _overrides(values: dict[str, Any]) -> list[str]:
    """Return the override of a table's row, whose list is told place by place."""
    keys = sorted(values, key=lambda key: int(key.rpartition(".")[2]))
    return [f"{keys[0].rpartition('.')[0]}={nested_literal([values[key] for key in keys])}"]


def _shown(name: str, found: dict[str, Any]) -> list[Table | str]:
    from rich.table import Table

    title = f"{name}: Kendall's tau of zero-cost scores with the result, {found['lists']} lists (95 %)"
    shown = Table("score", "all pairs", f"{found['pairs']:,} pairs of similar size", title=title)
    for score, told in found["scores"].items():
        shown.add_row(score, *(str(Correlation(**told[kind])) for kind in ("every", "similar")))
    seconds = f"{found['seconds_each'] * 1000:.0f} ms for building and scoring a list"
    return [shown, seconds, *prediction_tables(name, found["predicted"])]
