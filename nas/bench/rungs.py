"""The bench ``rungs``: what the settings of rungs find for the same work, on recorded learning curves."""

from __future__ import annotations

import importlib.resources
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from nas.bench.base import Bench
from nas.bench.replay import Replay
from nas.errors import InputError, check_positive, not_allowed
from nas.progress import Say
from nas.search.correlation import spearman
from nas.search.rungs.halving import SuccessiveHalving

if TYPE_CHECKING:
    from rich.table import Table

Curves = list[dict[float, float]]
_Ranks = npt.NDArray[np.float64]
FILES = ("curves.json", "curves_late.json")
"""As `nas-search` recorded them: text, and recall, which comes late and where early ranks mislead."""
ALWAYS: dict[str, Any] = {"bold": 0.0, "hopeless": None}


class RungBench(Bench):
    """Replays recorded curves in many orders under several settings of the rungs.

    Work is told in full trainings. What is found is told as the rank of the best finished trial among
    all candidates, 1 being the best there is; where none is finished, the worst rank counts. Where all
    candidates were raced it is told too: what a setting has paused or ended for good is missed by then.

    Args:
        settings: name to ``evaluate_at`` and arguments of `SuccessiveHalving`; nobody is bold and nothing
            hopeless unless they say so. ``evaluate_at: [1.0]`` trains everything to the end.
        yardstick: the setting that others are compared with in each order, which tells small differences.
        curves: a JSON file like those that come along; null: those.
        budgets: after so many full trainings the best is looked at.
        workers: how many train at once.
        orders: random orders of the candidates.

    Raises:
        InputError: a number is not positive, there is no such yardstick, or the file cannot be read.
    """

    name: ClassVar[str] = "rungs"

    def __init__(
        self,
        settings: dict[str, dict[str, Any]],
        yardstick: str,
        curves: str | None = None,
        budgets: list[int] | None = None,
        workers: int = 2,
        orders: int = 50,
    ) -> None:
        check_positive(workers=workers, orders=orders)
        if yardstick not in settings:
            raise InputError(not_allowed("bench.yardstick", yardstick, list(settings)))
        self.settings, self.yardstick = dict(settings), yardstick
        self.budgets = [3, 6, 9, 12] if budgets is None else budgets
        self.recordings, self.workers, self.orders = _recordings(curves), workers, orders

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Replay every setting on every recording; see `Bench`."""
        return {"recordings": [self._replayed(recording, seed, report) for recording in self.recordings]}

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return a line for each setting on each recording; see `Bench`."""
        return [part for recording in results["recordings"] for part in self._told(recording)]

    def _replayed(self, recording: Recording, seed: int, report: Say) -> dict[str, Any]:
        ranks, work = {}, {}
        for name, told in self.settings.items():
            report(f"{recording.question}; rungs: {name}")
            ranks[name], work[name] = self._raced(recording.curves, told, seed)
        rows = [
            {
                "name": name,
                **_summary(own),
                "beside": _summary(own - ranks[self.yardstick]),
                "work": work[name],
            }
            for name, own in ranks.items()
        ]
        agreement = _agreement(recording.curves)
        count = len(recording.curves)
        return {"question": recording.question, "candidates": count, "rows": rows, "agreement": agreement}

    def _told(self, results: dict[str, Any]) -> list[Table | str]:
        shares = ", ".join(f"{share:g}: {value:.2f}" for share, value in results["agreement"].items())
        rows = results["rows"]
        ranked = self._table(
            f"rank of the best of {results['candidates']} candidates, with its standard error"
        )
        beside = self._table(f"the same minus that of {self.yardstick!r} in the same order")
        for row in rows:
            ranked.add_row(row["name"], *_cells(row, ""), f"{row['work']:.1f}")
            beside.add_row(row["name"], *_cells(row["beside"], "+"), "")
        said = f"Rank correlation of the loss after a share of the budget with the last one: {shares}."
        return [results["question"], ranked, beside, said]

    def _table(self, title: str) -> Table:
        from rich.table import Table

        table = Table(title=title, title_justify="left")
        table.add_column("rungs")
        for budget in (*self.budgets, "all"):
            table.add_column(f"after {budget}", justify="right")
        table.add_column("work for all", justify="right")
        return table

    def _raced(self, curves: Curves, told: dict[str, Any], seed: int) -> tuple[_Ranks, float]:
        """Return the ranks [orders, budgets + 1] and the mean work of a setting."""
        own = {key: value for key, value in told.items() if key != "evaluate_at"}
        rungs = SuccessiveHalving(**{**ALWAYS, **own}) if len(told["evaluate_at"]) > 1 else None
        ends = sorted(curve[1.0] for curve in curves)
        ranks, work = [], []
        limits = [*self.budgets, math.inf]
        for order in range(seed, seed + self.orders):
            race = Replay(curves, rungs, told["evaluate_at"], self.workers, order)
            finished = list(race.finished())
            ranks.append([_rank(ends, [v for at, v in finished if at <= limit]) for limit in limits])
            work.append(race.work)
        return np.array(ranks, float), float(np.mean(work))


def _summary(ranks: _Ranks) -> dict[str, list[float]]:
    error = ranks.std(axis=0) / max(1, len(ranks) - 1) ** 0.5
    return {"mean": ranks.mean(axis=0).tolist(), "error": error.tolist()}


def _cells(told: dict[str, list[float]], sign: str) -> list[str]:
    digits = 2 if sign else 1
    pairs = zip(told["mean"], told["error"], strict=True)
    return [f"{mean:{sign}.{digits}f} ± {error:.{digits}f}" for mean, error in pairs]


def _rank(ends: Sequence[float], found: Sequence[float]) -> int:
    return 1 + ends.index(min(found)) if found else len(ends)


def _agreement(curves: Curves) -> dict[float, float]:
    """Return how the ranks after each share of the budget agree with the last ones (Spearman)."""

    last = [curve[1.0] for curve in curves]
    return {
        share: spearman([curve[share] for curve in curves], last).value for share in curves[0] if share < 1
    }


@dataclass(frozen=True)
class Recording:
    """Learning curves of many candidates, and in words how they came about."""

    question: str
    curves: Curves


def _recordings(path: str | None) -> list[Recording]:
    if path is not None:
        return [_read(path, Path(path).expanduser())]
    return [_read(name, importlib.resources.files("nas.bench") / name) for name in FILES]


def _read(name: str, file: Path | Traversable) -> Recording:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        curves = [dict(zip(told["shares"], curve, strict=True)) for curve in told["curves"]]
        return Recording(str(told.get("question", name)), curves)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"bench.curves={name!r} cannot be read: {error}") from None
