"""The bench ``rungs``: what the settings of rungs find for the same work, on recorded learning curves."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nas.bench.base import Bench
from nas.bench.replay import Replay
from nas.errors import InputError, check_positive
from nas.progress import Say
from nas.search.rungs.halving import SuccessiveHalving

if TYPE_CHECKING:
    from rich.table import Table

Curves = list[dict[float, float]]
FILE = "curves.json"
ALWAYS: dict[str, Any] = {"bold": 0.0, "hopeless": None}


class RungBench(Bench):
    """Replays recorded curves in many orders under several settings of the rungs.

    Work is told in full trainings. What is found is told as the rank of the best finished trial among
    all candidates, 1 being the best there is; where none is finished, the worst rank counts.

    Args:
        settings: name to ``evaluate_at`` and arguments of `SuccessiveHalving`; nobody is bold and nothing
            hopeless unless they say so. ``evaluate_at: [1.0]`` trains everything to the end.
        curves: a JSON file like the one that comes along; null: that one.
        budgets: after so many full trainings the best is looked at.
        workers: how many train at once.
        orders: random orders of the candidates.

    Raises:
        InputError: a number is not positive, or the file cannot be read.
    """

    name: ClassVar[str] = "rungs"

    def __init__(
        self,
        settings: dict[str, dict[str, Any]],
        curves: str | None = None,
        budgets: list[int] | None = None,
        workers: int = 2,
        orders: int = 50,
    ) -> None:
        check_positive(workers=workers, orders=orders)
        self.settings = dict(settings)
        self.budgets = [3, 6, 9, 12] if budgets is None else budgets
        self.curves, self.workers, self.orders = _read(curves), workers, orders

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Replay every setting; see `Bench`."""
        rows = []
        for name, told in self.settings.items():
            report(f"rungs: {name}")
            rows.append({"name": name, **self._raced(told, seed)})
        return {"candidates": len(self.curves), "rows": rows, "agreement": _agreement(self.curves)}

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return a line for each setting; see `Bench`."""
        from rich.table import Table

        title = f"rank of the best of {results['candidates']} candidates, with its standard error"
        table = Table(title=title, title_justify="left")
        table.add_column("rungs")
        for budget in self.budgets:
            table.add_column(f"after {budget}", justify="right")
        table.add_column("work for all candidates", justify="right")
        for row in results["rows"]:
            cells = [
                f"{mean:.1f} ± {error:.1f}" for mean, error in zip(row["mean"], row["error"], strict=True)
            ]
            table.add_row(row["name"], *cells, f"{row['work']:.1f}")
        shares = ", ".join(f"{share:g}: {value:.2f}" for share, value in results["agreement"].items())
        return [
            table,
            f"Rank correlation of the loss after a share of the budget with the last one: {shares}.",
        ]

    def _raced(self, told: dict[str, Any], seed: int) -> dict[str, Any]:
        own = {key: value for key, value in told.items() if key != "evaluate_at"}
        rungs = SuccessiveHalving(**{**ALWAYS, **own}) if len(told["evaluate_at"]) > 1 else None
        ends = sorted(curve[1.0] for curve in self.curves)
        ranks, work = [], []
        for order in range(seed, seed + self.orders):
            race = Replay(self.curves, rungs, told["evaluate_at"], self.workers, order)
            finished = list(race.finished())
            ranks.append([_rank(ends, [v for at, v in finished if at <= budget]) for budget in self.budgets])
            work.append(race.work)
        error = np.std(ranks, axis=0) / max(1, self.orders - 1) ** 0.5
        return {
            "mean": np.mean(ranks, axis=0).tolist(),
            "error": error.tolist(),
            "work": float(np.mean(work)),
        }


def _rank(ends: Sequence[float], found: Sequence[float]) -> int:
    return 1 + ends.index(min(found)) if found else len(ends)


def _agreement(curves: Curves) -> dict[float, float]:
    """Return how the ranks after each share of the budget agree with the last ones (Spearman)."""

    def ranks(share: float) -> Any:
        return np.argsort(np.argsort([curve[share] for curve in curves]))

    last = ranks(1.0)
    return {share: float(np.corrcoef(ranks(share), last)[0, 1]) for share in curves[0] if share < 1}


def _read(path: str | None) -> Curves:
    try:
        source = Path(path).expanduser() if path else importlib.resources.files("nas.bench") / FILE
        told = json.loads(source.read_text(encoding="utf-8"))
        return [dict(zip(told["shares"], curve, strict=True)) for curve in told["curves"]]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"bench.curves={path!r} cannot be read: {error}") from None
