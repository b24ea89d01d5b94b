"""A study whose trials are curves: every report is made here, in whatever order a test wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest

from nas.search.gate import Gate
from nas.search.objectives import Objective
from nas.search.question import Question
from nas.search.rungs.halving import SuccessiveHalving
from nas.search.rungs.race import Race
from nas.search.samplers.random import Random
from nas.search.spaces.space import Space
from nas.search.storages.journal import Journal
from nas.search.study import Study
from nas.search.worker import Order
from nas.train.rung import Answer

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = {"optimizer.lr": {"low": 0.1, "high": 1.0}}
LOSS, SIZE = Objective("val/loss", "minimize"), Objective("cost/parameters", "minimize")


class _Sizes:
    """Prices a trial: the larger its learning rate, the larger it is."""

    def costs(self, changes: dict[str, Any]) -> dict[str, float]:
        return {SIZE.name: round(1000 * changes["optimizer.lr"])}


class Track:
    """A study in a folder, and what its trials do there.

    Args:
        folder: of the study; another `Track` of the same folder continues it.
        objectives: names of metrics may be anything.
        space: what varies.
        more: arguments of `Study`.
        settings: of the rungs.
    """

    def __init__(
        self,
        folder: Path,
        objectives: tuple[Objective, ...] = (LOSS,),
        more: Any = None,
        space: Any = SPACE,
        **settings: Any,
    ) -> None:
        folder.mkdir(exist_ok=True)
        question = Question(
            name="s", space=Space(space), base=(), config={}, objectives=objectives, task="t", seed=0
        )
        race = Race(SuccessiveHalving(**{"bold": 0.0, **settings}), [0.25, 0.5, 1.0], objectives, 0)
        storage = Journal().open(folder)
        stream = len(optuna.get_all_study_summaries(storage)) and 1 + len(
            optuna.load_study(study_name="s", storage=storage).trials
        )
        wanted = tuple(o.name for o in objectives if o.is_cost)
        gate = Gate(question.space, _Sizes(), wanted=wanted)  # type: ignore[arg-type]
        self.study = Study(question, folder, storage, Random(stream), race, gate, **(more or {}))
        self.study.write(workers=1, n_trials=4, sampler="random", seconds=1.0, finished=False)

    def begin(self, order: Order | None = None, key: str | None = None) -> int:
        """Ask for a trial, and have it identified."""
        order = order or self.study.ask()
        facts = {"string": "a", "hash": key or str(order.number), "parameters": 7, "flops_per_token": 9.0}
        assert self.study.identify(order.number, key or str(order.number), facts)
        return order.number

    def report(self, number: int, share: float, *values: float) -> Answer:
        """Report at a share of the budget; a paused trial is let go."""
        metrics = dict(zip(self.names, values, strict=True))
        answer = self.study.report(number, share, metrics)
        if answer == "pause":
            self.study.let_go(number, 1.0)
        return answer

    def end(self, number: int, *values: float, status: str = "done") -> None:
        """End a trial."""
        metrics = dict(zip(self.names, values, strict=True))
        self.study.succeed(number, {"status": status, "metrics": metrics, "seconds": 2.0, "reason": None})

    @property
    def names(self) -> list[str]:
        return [o.name for o in self.study.question.objectives if not o.is_cost]

    def continue_next(self, n_trials: int) -> int:
        """Continue the paused trial that the study gives next, and return its number."""
        order = self.study.next(n_trials)
        assert order is not None
        return self.begin(order, key=str(order.number))

    def row(self, number: int) -> dict[str, Any]:
        """Return a trial's row."""
        return next(row for row in self.study.rows() if row["number"] == number)

    def run(self, curve: Sequence[float]) -> int:
        """Train a new trial as far as it may go."""
        number = self.begin()
        for share, value in zip((0.25, 0.5), curve, strict=False):
            if self.report(number, share, value) != "go on":
                return number
        self.end(number, curve[-1])
        return number


@pytest.fixture
def track(tmp_path: Path) -> Callable[..., Track]:
    """Return what opens the study of this test, again and again."""
    return lambda *args, **kwargs: Track(tmp_path / "s", *args, **kwargs)
