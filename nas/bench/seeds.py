"""The bench ``seeds``: does the default search find more than random search does with the same trials?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nas.bench.anew import Searches
from nas.bench.answers import interval
from nas.bench.base import Bench
from nas.errors import InputError, check_positive
from nas.files import write_json
from nas.progress import Say

if TYPE_CHECKING:
    from rich.table import Table


class SeedsBench(Bench):
    """Runs the same search with two samplers on many seeds, and trains every winner anew.

    The winner of a search is a lucky run to some part. So it is judged by its own loss, and by what
    its configuration reaches with other seeds. Finished searches and runs are kept and not repeated:
    the same command continues, and with more ``seeds`` it goes on.

    Args:
        outputs: folder of the studies and runs.
        cache: folder of prepared data.
        samplers: the one that is judged, and the one it is compared with.
        seeds: searches of each.
        trials: of each search.
        retrained: how often each winner is trained anew.
        workers: processes at a time.
        overrides: of every search.
        record: file that the result is written to; null: none beside the bench's own.

    Raises:
        InputError: a number is not positive, or there are not two samplers.
    """

    name: ClassVar[str] = "seeds"

    def __init__(
        self,
        outputs: str,
        cache: str,
        samplers: list[str] | None = None,
        seeds: int = 10,
        trials: int = 24,
        retrained: int = 2,
        workers: int = 2,
        overrides: list[str] | None = None,
        record: str | None = None,
    ) -> None:
        check_positive(seeds=seeds, trials=trials, retrained=retrained, workers=workers)
        self.samplers = ["auto", "random"] if samplers is None else samplers
        if len(set(self.samplers)) != 2:
            raise InputError(
                f"bench.samplers={self.samplers} must be two: one that is judged, and a yardstick"
            )
        folders = Path(outputs).expanduser(), Path(cache).expanduser()
        self.searches = Searches(*folders, retrained, workers)
        self.seeds, self.trials = seeds, trials
        self.overrides = list(overrides or [])
        self.record = Path(record).expanduser() if record is not None else None

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Search with both samplers on every seed; see `Bench`."""
        rows = []
        for number in range(seed, seed + self.seeds):
            row: dict[str, Any] = {"seed": number}
            for sampler in self.samplers:
                report(f"seed {number}: {self.trials} trials of sampler={sampler}")
                own = [f"sampler={sampler}", *self.overrides]
                plan = self.searches.plan(f"{sampler}-{number}", number, self.trials, own)
                row[sampler] = self.searches.winner(plan, report)
            rows.append(row)
            report(told(row, self.samplers))
        results = {"samplers": self.samplers, "trials": self.trials, "rows": rows}
        if self.record is not None:
            self.record.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.record, results)
        return results

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return a line for each seed, and on how many the first sampler won; see `Bench`."""
        ours, yardstick = results["samplers"]
        lines = [
            won(results["rows"], ours, yardstick, key, what)
            for key, what in (("value", "the search's best loss"), ("mean", "the winner trained anew"))
        ]
        return [_table(results), *lines]


def told(row: dict[str, Any], samplers: list[str]) -> str:
    """Say what both samplers found on one seed."""
    sides = [f"{s} {row[s]['value']:.4f}, trained anew {row[s]['mean']:.4f}" for s in samplers]
    return f"seed {row['seed']}: {'; '.join(sides)}"


def won(rows: list[dict[str, Any]], ours: str, yardstick: str, key: str, what: str) -> str:
    """Say on how many seeds the first sampler's loss is the lower one, and by how much on average."""
    gaps = [row[yardstick][key] - row[ours][key] for row in rows]
    found = interval(gaps)
    return (
        f"by {what}, {ours} beats {yardstick} on {sum(gap > 0 for gap in gaps)} of {len(gaps)} seeds; "
        f"its loss is lower by {found.mean:.4f} [{found.low:.4f}, {found.high:.4f}] on average"
    )


def _table(results: dict[str, Any]) -> Table:
    from rich.table import Table

    samplers = results["samplers"]
    table = Table(title=f"{results['trials']} trials each: best loss (trained anew)", title_justify="left")
    table.add_column("seed", justify="right")
    for sampler in samplers:
        table.add_column(sampler, justify="right")
        table.add_column("architecture", overflow="fold")
    for row in results["rows"]:
        sides = [row[sampler] for sampler in samplers]
        cells = [c for s in sides for c in (f"{s['value']:.4f} ({s['mean']:.4f})", s["architecture"])]
        table.add_row(str(row["seed"]), *cells)
    return table
