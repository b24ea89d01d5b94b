"""The bench ``functions``: samplers as any Optuna user calls them, on functions that none was made for."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import optuna

from nas.bench.base import Bench
from nas.bench.synthetic import FUNCTIONS, TRUE, Objective
from nas.errors import InputError, check_positive, not_allowed
from nas.progress import Say
from nas.search import samplers

if TYPE_CHECKING:
    from rich.table import Table

YARDSTICK = "random"
EARLY = 35
SAMPLERS: dict[str, Callable[..., optuna.samplers.BaseSampler]] = {
    "auto": samplers.auto,
    YARDSTICK: optuna.samplers.RandomSampler,
    "optuna_tpe": optuna.samplers.TPESampler,
    "optuna_nsga2": optuna.samplers.NSGAIISampler,
    "optuna_gp": optuna.samplers.GPSampler,
}
"""Who can be asked; Optuna's GP takes half a minute for a hundred trials."""


class FunctionsBench(Bench):
    """Maximizes functions by ``study.optimize``, with spaces that only their code defines.

    Of a noisy function the best trial's true score counts.

    Args:
        samplers: names in `SAMPLERS`; null: all but Optuna's GP.
        functions: names in `nas.bench.synthetic`; null: all.
        evaluations: trials of each study.
        seeds: studies of each; each seed is another function.

    Raises:
        InputError: a name or number that is not allowed.
    """

    name: ClassVar[str] = "functions"

    def __init__(
        self,
        samplers: list[str] | None = None,
        functions: list[str] | None = None,
        evaluations: int = 100,
        seeds: int = 8,
    ) -> None:
        check_positive(evaluations=evaluations, seeds=seeds)
        self.samplers = [n for n in SAMPLERS if n != "optuna_gp"] if samplers is None else samplers
        self.functions = list(FUNCTIONS) if functions is None else functions
        wrong = [not_allowed("bench.samplers", n, list(SAMPLERS)) for n in self.samplers if n not in SAMPLERS]
        wrong += [
            not_allowed("bench.functions", n, list(FUNCTIONS)) for n in self.functions if n not in FUNCTIONS
        ]
        if wrong:
            raise InputError(*wrong)
        self.evaluations, self.seeds = evaluations, seeds

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Maximize every function by every sampler; see `Bench`."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        rows: list[dict[str, Any]] = []
        for name in self.functions:
            goals: list[float] = []
            for sampler in dict.fromkeys([YARDSTICK, *self.samplers]):
                report(f"{name}: {sampler}")
                began = time.process_time()
                seeds = range(seed, seed + self.seeds)
                found = np.array([_best(FUNCTIONS[name](s), sampler, s, self.evaluations) for s in seeds])
                goals = goals or found[:, -1].tolist()
                rows.append({
                    "function": name, "sampler": sampler, "mean": found.mean(axis=0).tolist(),
                    "error": float(found[:, -1].std() / max(1, self.seeds - 1) ** 0.5),
                    "reach": float(np.mean([_reach(f, g) for f, g in zip(found, goals, strict=True)])),
                    "ms": 1000 * (time.process_time() - began) / (self.seeds * self.evaluations),
                })  # fmt: skip
        return {"rows": rows}

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return one table."""
        from rich.table import Table

        table = Table(title="best value found; the larger the better", title_justify="left")
        early = min(EARLY, self.evaluations)
        for heading in ("function", "sampler", str(early), str(self.evaluations), "as random", "ms a trial"):
            table.add_column(heading, justify="left" if heading in ("function", "sampler") else "right")
        for row in results["rows"]:
            table.add_row(
                row["function"], row["sampler"], f"{row['mean'][early - 1]:.3f}",
                f"{row['mean'][-1]:.3f} ± {row['error']:.3f}", f"{row['reach']:.0f}", f"{row['ms']:.1f}",
            )  # fmt: skip
        return [
            table,
            f"as random: the trials until what random search has after {self.evaluations}, on average",
        ]


def _best(function: Objective, sampler: str, seed: int, evaluations: int) -> list[float]:
    """Return the best value after 1, 2, ... trials; of a noisy function the true one of the best seen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(direction="maximize", sampler=SAMPLERS[sampler](seed=seed))
    study.optimize(function, evaluations)
    trials = study.get_trials(deepcopy=False)
    seen = np.array([trial.value for trial in trials], float)
    firsts = [int(seen[: n + 1].argmax()) for n in range(len(seen))]
    return [float(trials[n].user_attrs.get(TRUE, seen[n])) for n in firsts]


def _reach(found: np.ndarray[Any, Any], goal: float) -> int:
    """Return after how many trials a goal was reached; never: one more than there are."""
    there = np.flatnonzero(found >= goal)
    return int(there[0]) + 1 if len(there) else len(found) + 1
