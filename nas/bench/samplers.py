"""The bench ``samplers``: what each sampler has found after how many evaluations, on known landscapes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nas.bench.base import Bench
from nas.bench.landscapes import NK, Landscape, nas_bench_bert
from nas.bench.searchers import MAKERS, Searcher, missing
from nas.bench.trained import landscape, packaged, record
from nas.errors import InputError, check_positive, not_allowed
from nas.progress import Say

if TYPE_CHECKING:
    from rich.table import Table

YARDSTICK = "random"
CELLS = [(hidden, layers) for hidden in (128, 256) for layers in (2, 4)]


class SamplerBench(Bench):
    """Replays landscapes whose every value is known, many times, by every sampler.

    Args:
        samplers: names in `nas.bench.searchers`; null: all.
        nk: [slots, blocks, k] of each NK landscape; a new one for each seed.
        trained: names of tables in ``sweeps/tables``; null: all.
        nas_bench_bert: the benchmark's JSON file; null: left out.
        evaluations: how many each sampler has.
        seeds: runs of each.
        record: folders of finished grid studies, whose tables are written to ``into`` first.
        into: folder of tables.

    Raises:
        InputError: a name or number that is not allowed, or a file that can not be read.
    """

    name: ClassVar[str] = "samplers"

    def __init__(
        self,
        samplers: list[str] | None = None,
        nk: list[list[int]] | None = None,
        trained: list[str] | None = None,
        nas_bench_bert: str | None = None,
        evaluations: int = 100,
        seeds: int = 10,
        record: list[str] | None = None,
        into: str = "sweeps/tables",
    ) -> None:
        check_positive(evaluations=evaluations, seeds=seeds)
        self.samplers = list(MAKERS) if samplers is None else samplers
        wrong = [
            not_allowed("bench.samplers", name, list(MAKERS)) for name in self.samplers if name not in MAKERS
        ]
        self.nk = [[8, 6, k] for k in range(4)] if nk is None else nk
        wrong += [
            f"bench.nk={entry} must be [slots, blocks, k] with 0 <= k < slots"
            for entry in self.nk
            if len(entry) != 3 or min(entry[:2]) < 2 or not 0 <= entry[2] < entry[0]
        ]
        tables = packaged()
        self.trained = list(tables) if trained is None else trained
        wrong += [not_allowed("bench.trained", n, list(tables)) for n in self.trained if n not in tables]
        if wrong:
            raise InputError(*wrong)
        self.record, self.into = [Path(p).expanduser() for p in record or ()], Path(into).expanduser()
        self.table = Path(nas_bench_bert).expanduser() if nas_bench_bert else None
        self.evaluations, self.seeds = evaluations, seeds

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Replay every landscape; see `Bench`."""
        for study in self.record:
            report(f"recorded: {record(study, self.into)}")
        rows: list[dict[str, Any]] = []
        for family, landscapes in self._landscapes(seed):
            for sampler in dict.fromkeys([YARDSTICK, *self.samplers]):
                absent = missing(sampler, landscapes[0])
                if absent:
                    rows.append({"landscape": family, "sampler": sampler, "absent": absent})
                    continue
                report(f"{family}: {sampler}")
                began = time.process_time()
                scores = [self._search(sampler, land, seed + i) for i, land in enumerate(landscapes)]
                cpu = time.process_time() - began
                rows.append(
                    {
                        "landscape": family,
                        "sampler": sampler,
                        "better": landscapes[0].better,
                        "mean": np.mean(scores, axis=0).tolist(),
                        "error": (np.std(scores, axis=0) / max(1, len(scores) - 1) ** 0.5).tolist(),
                        "median": np.median(scores, axis=0).tolist(),
                        "ms": 1000 * cpu / (len(landscapes) * self.evaluations),
                    }
                )
        return {"rows": rows}

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return a table for each landscape; see `Bench`."""
        families = dict.fromkeys(row["landscape"] for row in results["rows"])
        return [
            _table([r for r in results["rows"] if r["landscape"] == f], self.evaluations) for f in families
        ]

    def _landscapes(self, seed: int) -> Iterator[tuple[str, list[Landscape]]]:
        for slots, blocks, k in self.nk:
            made: list[Landscape] = [NK(slots, blocks, k, seed + i) for i in range(self.seeds)]
            yield made[0].name, made
        for name in self.trained:
            yield name, [landscape(packaged()[name])] * self.seeds
        for cell in [None, *CELLS] if self.table else []:
            recorded = nas_bench_bert(self.table, cell)
            yield recorded.name, [recorded] * self.seeds

    def _search(self, sampler: str, landscape: Landscape, seed: int) -> list[float]:
        """Return the score of the best found after 1, 2, ... evaluations."""
        searcher = MAKERS[sampler](landscape, seed)
        asked: set[int] = set()
        best, scores = -np.inf, []
        for _ in range(self.evaluations):
            best = max(best, _evaluate(searcher, landscape, asked))
            scores.append(landscape.score(best))
        return scores


def reach(row: dict[str, Any], yardstick: dict[str, Any]) -> int | None:
    """Return after how many evaluations a sampler is where random search ends, on average."""
    sign = 1 if row["better"] == "higher" else -1
    goal = sign * yardstick["mean"][-1]
    return next((i + 1 for i, mean in enumerate(row["mean"]) if sign * mean >= goal), None)


def _evaluate(searcher: Searcher, landscape: Landscape, asked: set[int]) -> float:
    number, params = landscape.nearest(searcher.ask(), asked)
    asked.add(number)
    value = landscape.value(number)
    searcher.tell(params, value)
    return value


def _table(rows: list[dict[str, Any]], evaluations: int) -> Table:
    from rich.table import Table

    yardstick = next(row for row in rows if row["sampler"] == YARDSTICK)
    shown = _shown(evaluations)
    unit = "rank of the best" if yardstick["better"] == "lower" else "best, from 0 to 1"
    table = Table(
        title=f"{rows[0]['landscape']}: {unit}: mean, standard error (median)", title_justify="left"
    )
    for heading in ("sampler", *(f"after {n}" for n in shown), f"as random after {evaluations}", "ms CPU"):
        table.add_column(heading, justify="left" if heading == "sampler" else "right")
    for row in rows:
        if "absent" in row:
            table.add_row(row["sampler"], f"[dim]{row['absent']}[/dim]")
            continue
        cells = [
            f"{row['mean'][n - 1]:.3g} ± {row['error'][n - 1]:.2g} ({row['median'][n - 1]:.3g})"
            for n in shown
        ]
        reached = reach(row, yardstick)
        told = "not reached" if reached is None else f"after {reached}"
        table.add_row(row["sampler"], *cells, told, f"{row['ms']:.1f}")
    return table


def _shown(evaluations: int) -> list[int]:
    marks: Iterable[int] = (20, 35, 50, 100)
    return [n for n in marks if n < evaluations] + [evaluations]
