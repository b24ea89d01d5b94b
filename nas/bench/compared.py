"""Candidates trained with every rate and seed: what each reaches with its best rate."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from nas.bench.answers import best_rate, interval, value_of
from nas.bench.fleet import Fleet, Job, Result
from nas.progress import Say

Overrides = tuple[str, ...]


class Comparison:
    """Runs of some candidates on one task; the best rate of each is found on the first seeds.

    Args:
        title: of the task, for what is said on the way.
        metric: that candidates are compared by.
        rates, seeds, tuned_on: see `nas.bench.evidence.Question`.
        shared: overrides of every run, after the candidate's own.
        first_seed: seeds count from here.
    """

    def __init__(
        self,
        title: str,
        metric: str,
        rates: Sequence[float],
        seeds: int,
        tuned_on: int,
        shared: Overrides = (),
        first_seed: int = 0,
    ) -> None:
        self.title = title
        self.metric = metric
        self.rates = rates
        self.tuned_on = range(first_seed, first_seed + tuned_on)
        self.seeds = range(first_seed, first_seed + seeds)
        self.shared = shared
        self.results: dict[tuple[str, float, int], Result] = {}

    def train(self, fleet: Fleet, candidates: Mapping[str, Overrides], report: Say) -> None:
        """Train every candidate with every rate on the first seeds, then with its best on the others."""
        tuning = [(n, r, s) for s in self.tuned_on for n in candidates for r in self.rates]
        self._train(fleet, candidates, tuning, report)
        rest = [(n, self.best(n), s) for s in self.seeds[len(self.tuned_on) :] for n in candidates]
        self._train(fleet, candidates, rest, report)

    def best(self, name: str) -> float:
        """Return a candidate's best rate."""
        tried = {rate: [self.results[name, rate, seed] for seed in self.tuned_on] for rate in self.rates}
        return best_rate(tried, self.metric)

    def outcome(self, name: str) -> dict[str, Any]:
        """Return what a candidate reaches with its best rate, as values for JSON."""
        rate = self.best(name)
        runs = [self.results[name, rate, seed] for seed in self.seeds]
        values = [value_of(run, self.metric) for run in runs]
        found = interval(values)
        others = {key for run in runs for key in run["metrics"]}
        tried = {
            r: [value_of(self.results[name, r, s], self.metric) for s in self.tuned_on] for r in self.rates
        }
        return {
            "rate": rate,
            "values": values,
            **found._asdict(),
            "metrics": {m: statistics.fmean(value_of(run, m) for run in runs) for m in sorted(others)},
            "rates": {f"{r:g}": statistics.fmean(v) for r, v in tried.items()},
            "diverged": sum(run["status"] == "diverged" for run in runs),
            "seconds": round(statistics.fmean(run["seconds"] for run in runs), 1),
        }

    def seconds(self) -> float:
        """Return how long all runs took, one after another."""
        return float(sum(run["seconds"] for run in self.results.values()))

    def _train(
        self,
        fleet: Fleet,
        candidates: Mapping[str, Overrides],
        wanted: Sequence[tuple[str, float, int]],
        report: Say,
    ) -> None:
        keys = {self._folder(*key): key for key in wanted}
        jobs = [Job(name, (*candidates[k[0]], *self._added(k))) for name, k in keys.items()]

        def ready(job: Job, result: Result) -> None:
            name, rate, seed = keys[job.name]
            self.results[keys[job.name]] = result
            value = f"{self.metric} {value_of(result, self.metric):.4f}"
            report(f"{self.title}: {name}, rate {rate:g}, seed {seed}: {value}, {result['seconds']:.0f} s")

        fleet.train(jobs, ready)

    def _added(self, key: tuple[str, float, int]) -> Overrides:
        return (*self.shared, f"optimizer.lr={key[1]!r}", f"seed={key[2]}")

    def _folder(self, name: str, rate: float, seed: int) -> str:
        return "-".join([slug(self.title), slug(name), f"{rate:g}", str(seed)])


def slug(name: str) -> str:
    """Return a name as part of a folder's name."""
    return re.sub(r"\W+", "_", name).strip("_")
