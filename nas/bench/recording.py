"""The bench ``recording``: what the supervisor of many workers needs for each trial."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar

from nas.bench.overhead import OverheadBench, warm
from nas.bench.overhead_run import SAMPLER, WAITING, Measured
from nas.bench.stopwatch import Lap

if TYPE_CHECKING:
    from rich.table import Table

REST = "all but the sampler"


class RecordingBench(OverheadBench):
    """Runs whole studies whose workers train nothing, and only say what real ones say.

    So many of them fit on one machine, and what is measured is the supervisor alone: proposing,
    identity, rungs, the end of a trial, and the study's files. Beside each two finished trials one is
    paused at a rung. Arguments as of `OverheadBench`.
    """

    name: ClassVar[str] = "recording"
    trains: ClassVar[bool] = False
    paused: ClassVar[float] = 0.5
    settings: ClassVar[tuple[str, ...]] = ("trainer.evaluate_at=[0.25,0.5,1.0]",)

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return a table of the supervisor's time by stage."""
        return [_table(results["rows"])]

    def told(self, measured: Measured, workers: int) -> dict[str, Any]:
        """Return the mean of each stage."""
        return {"mean": means(warm(measured.supervisor, workers))}


def means(laps: list[Lap]) -> dict[str, dict[str, float]]:
    """Return stage to its mean milliseconds, wall and CPU, without that of waiting."""
    stages = [stage for stage in dict.fromkeys(name for lap in laps for name in lap) if stage != WAITING]
    found = {}
    for stage in stages:
        spent = [lap.get(stage, (0.0, 0.0)) for lap in laps]
        found[stage] = {kind: 1e3 * fmean(s[i] for s in spent) for i, kind in enumerate(("wall", "cpu"))}
    rest = [times for stage, times in found.items() if stage != SAMPLER]
    found[REST] = {kind: sum(times[kind] for times in rest) for kind in ("wall", "cpu")}
    return found


def _table(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(title="the supervisor alone: mean ms a trial, wall (CPU)", title_justify="left")
    for heading in ("stage", *(f"{row['finished']} finished, {row['workers']} workers" for row in rows)):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    stages = dict.fromkeys(stage for row in rows for stage in row["mean"])
    for stage in sorted(stages, key=lambda s: (s == SAMPLER, s == REST)):
        found = [row["mean"].get(stage, {"wall": 0.0, "cpu": 0.0}) for row in rows]
        cells = [f"{times['wall']:.1f} ({times['cpu']:.1f})" for times in found]
        table.add_row(stage, *cells, style="bold" if stage == REST else "")
    return table
