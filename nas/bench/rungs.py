"""The bench ``rungs``: what the settings of rungs find for the same work, on what was recorded once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from nas.bench.base import Bench
from nas.bench.curves import Recording, agreement, recordings
from nas.bench.drawn import Drawn
from nas.bench.entrants import Entrants, ranked
from nas.bench.lists import Lists
from nas.bench.proposed import Proposed
from nas.bench.replay import Finish, Replay
from nas.bench.rung_tables import rung_tables
from nas.bench.searchers import SAMPLERS, missing
from nas.bench.trained import packaged
from nas.errors import InputError, check_positive, not_allowed
from nas.progress import Say
from nas.search.rungs.halving import SuccessiveHalving

if TYPE_CHECKING:
    from rich.table import Table

_Ranks = npt.NDArray[np.float64]
_Settings = dict[str, dict[str, Any]]
ALWAYS: dict[str, Any] = {"bold": 0.0, "hopeless": None}


class RungBench(Bench):
    """Replays what was recorded, under several settings of the rungs: curves in many orders, and searches.

    Work is told in full trainings. What is found is told as the rank of the best finished trial among
    all candidates, 1 being the best there is; where none is finished, the worst rank counts. Where all
    candidates of a recording were raced it is told too: what a setting has paused or ended for good is
    missed by then. A search sees one run of each list in a table, drawn anew for every search; the ranks
    are those of the mean over all runs. A setting is left out where what it looks at was not recorded.

    Args:
        settings: name to ``evaluate_at`` and arguments of `SuccessiveHalving`; nobody is bold and nothing
            hopeless unless they say so. ``evaluate_at: [1.0]`` trains everything to the end.
        yardstick: the setting that others are compared with in each order, which tells small differences.
        curves: a JSON file like those that come along; null: those.
        budgets: after so many full trainings the best is looked at.
        workers: how many train at once.
        orders: random orders of the candidates.
        tables: names of tables in ``sweeps/tables`` that samplers search; null: all.
        samplers: names in `nas.bench.searchers.SAMPLERS`; null: auto and random.
        searches: of each sampler under each setting, with other seeds.

    Raises:
        InputError: a number is not positive, a name is not allowed, a file cannot be read, or it lacks
            what the yardstick looks at.
    """

    name: ClassVar[str] = "rungs"

    def __init__(
        self,
        settings: _Settings,
        yardstick: str,
        curves: str | None = None,
        budgets: list[int] | None = None,
        workers: int = 2,
        orders: int = 50,
        tables: list[str] | None = None,
        samplers: list[str] | None = None,
        searches: int = 40,
    ) -> None:
        check_positive(workers=workers, orders=orders, searches=searches)
        known = packaged()
        chosen = list(known) if tables is None else tables
        self.samplers = ["auto", "random"] if samplers is None else samplers
        wrong = [not_allowed("bench.tables", name, list(known)) for name in chosen if name not in known]
        wrong += [
            not_allowed("bench.samplers", name, list(SAMPLERS))
            for name in self.samplers
            if name not in SAMPLERS
        ]
        if yardstick not in settings:
            wrong.append(not_allowed("bench.yardstick", yardstick, list(settings)))
        if wrong:
            raise InputError(*wrong)
        self.settings, self.yardstick = dict(settings), yardstick
        self.budgets = [3, 6, 9, 12] if budgets is None else budgets
        self.recordings, self.workers, self.orders = recordings(curves), workers, orders
        self.lists, self.searches = {name: Lists(known[name]) for name in chosen}, searches
        for recording in self.recordings:
            if yardstick not in self._fitting(recording.curves[0]):
                at, known_at = settings[yardstick]["evaluate_at"], list(recording.curves[0])
                raise InputError(f"bench.yardstick={yardstick!r} looks at {at}, bench.curves has {known_at}")

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Replay every setting on every recording and, with every sampler, on every table; see `Bench`."""
        return {
            "recordings": [self._replayed(recording, seed, report) for recording in self.recordings],
            "tables": [self._searched(name, lists, seed, report) for name, lists in self.lists.items()],
        }

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return a line for each setting, on each recording and for each sampler; see `Bench`."""
        return rung_tables(results, self.budgets, self.yardstick)

    def _fitting(self, shares: Iterable[float]) -> _Settings:
        """Return the settings that look at nothing but these shares of the budget."""
        known = set(shares)
        return {name: told for name, told in self.settings.items() if known.issuperset(told["evaluate_at"])}

    def _replayed(self, recording: Recording, seed: int, report: Say) -> dict[str, Any]:
        """Race the candidates of a recording under every setting."""
        curves, candidates, ranks, work = recording.curves, ranked(recording.curves), {}, {}
        limits = [*self.budgets, math.inf]
        for name, told in self._fitting(curves[0]).items():
            report(f"{recording.question}; rungs: {name}")
            raced = [
                self._raced(Drawn(candidates, order), told, order, limits, len(candidates))
                for order in range(seed, seed + self.orders)
            ]
            ranks[name] = np.array([found for found, _ in raced], float)
            work[name] = float(np.mean([spent for _, spent in raced]))
        rows = [
            {
                "name": name,
                **_summary(own),
                "beside": _summary(own - ranks[self.yardstick]),
                "work": work[name],
            }
            for name, own in ranks.items()
        ]
        told_of = {"question": recording.question, "candidates": len(curves)}
        return {**told_of, "rows": rows, "agreement": agreement(curves)}

    def _searched(self, table: str, lists: Lists, seed: int, report: Say) -> dict[str, Any]:
        """Search a table with every sampler under every setting."""
        searches: list[dict[str, Any]] = []
        for sampler in self.samplers:
            absent = missing(sampler, lists.landscape)
            if absent:
                searches.append({"sampler": sampler, "absent": absent})
                continue
            rows = []
            for name, told in self._fitting(lists.shares).items():
                report(f"{table}; {sampler}; rungs: {name}")
                seeds = range(seed, seed + self.searches)
                ranks = [self._search(sampler, lists, told, each) for each in seeds]
                rows.append({"name": name, **_summary(np.array(ranks, float))})
            searches.append({"sampler": sampler, "rows": rows})
        told_of = {"table": table, "candidates": lists.count, "agreement": agreement(lists.curves())}
        return {**told_of, "searches": searches}

    def _search(self, sampler: str, lists: Lists, told: dict[str, Any], seed: int) -> list[int]:
        """Return the ranks that a search has found after each budget."""
        made = SAMPLERS[sampler](lists.landscape, seed)
        entrants = Proposed(made, lists.landscape, lists.candidates(seed))
        return self._raced(entrants, told, seed, self.budgets, lists.count)[0]

    def _raced(
        self, entrants: Entrants, told: dict[str, Any], seed: int, limits: Sequence[float], worst: int
    ) -> tuple[list[int], float]:
        """Return the ranks after each limit, and the work, of a race under a setting."""
        own = {key: value for key, value in told.items() if key != "evaluate_at"}
        rungs = SuccessiveHalving(**{**ALWAYS, **own}) if len(told["evaluate_at"]) > 1 else None
        replay = Replay(entrants, rungs, told["evaluate_at"], self.workers, seed)
        finished = list(replay.finished(max(limits, default=0)))
        return [_rank([end for end in finished if end.at <= limit], worst) for limit in limits], replay.work


def _summary(ranks: _Ranks) -> dict[str, list[float]]:
    error = ranks.std(axis=0) / max(1, len(ranks) - 1) ** 0.5
    return {"mean": ranks.mean(axis=0).tolist(), "error": error.tolist()}


def _rank(finished: Sequence[Finish], worst: int) -> int:
    return min(finished, key=lambda end: end.value).rank if finished else worst
