"""The bench ``search``: ``nas-search`` against the script that people write, on the same text and cores."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import optuna

from nas.bench.base import Bench
from nas.bench.rival_data import write_arrays
from nas.bench.search_outcome import found_by, told
from nas.bench.turns import Side, take_turns
from nas.bench.watching import Watch, WatchJournal, WatchSqlite
from nas.config.compose import compose
from nas.errors import InputError, check_positive
from nas.progress import Say
from nas.search.plan import Plan, plan_search

if TYPE_CHECKING:
    from rich.table import Table

OURS, SCRIPT = "nas-search", "script"
_NEVER = 1_000_000
"""More trials than any budget is good for."""
_START = "from nas.cli.search import main; main()"


class SearchBench(Bench):
    """Runs ``nas-search`` and `nas.bench.peers.plain_search` in turns of some seconds on the same cores.

    Both read the same bytes, are judged by the same hidden positions of the same validation rows, and
    have so many processes of one thread. What counts is the loss of trials that were trained to their
    end, at the moment when the study holds it; and, told beside that, the loss of every evaluation of
    both sides: the model of that loss is there by then.

    Args:
        outputs: folder below which both leave their studies.
        cache: folder of prepared data.
        seconds: the budget of each side, in processor time for each of its cores: on a quiet machine
            that is the time on the wall.
        seeds: how often both are run.
        workers: processes of each side.
        steps: of a trial of the script; null: as many as a trial of ours.
        trials: that are enough for each side; null: as many as fit into the budget.
        turn: seconds of one turn.
        overrides: of ``nas-search``.

    Raises:
        InputError: a number is not positive.
    """

    name: ClassVar[str] = "search"

    def __init__(
        self,
        outputs: str,
        cache: str,
        seconds: float = 300.0,
        seeds: int = 3,
        workers: int = 2,
        steps: int | None = None,
        trials: int | None = None,
        turn: float = 5.0,
        overrides: list[str] | None = None,
    ) -> None:
        check_positive(seconds=seconds, seeds=seeds, workers=workers, turn=turn)
        check_positive(**{k: v for k, v in {"steps": steps, "trials": trials}.items() if v is not None})
        self.outputs, self.cache = Path(outputs).expanduser(), Path(cache).expanduser()
        self.seconds, self.seeds, self.workers, self.turn = seconds, seeds, workers, turn
        self.steps, self.trials = steps, trials
        self.overrides = list(overrides or [])

    def measure(self, seed: int, report: Say) -> dict[str, Any]:
        """Run both sides once for each seed; see `Bench`.

        Raises:
            InputError: ``transformers`` is missing.
        """
        if importlib.util.find_spec("transformers") is None:
            raise InputError("nas-bench search needs the extra: pip install 'nas[bench]'")
        self.outputs.mkdir(parents=True, exist_ok=True)
        rows = []
        for number in range(seed, seed + self.seeds):
            report(f"seed {number}: both sides, {self.seconds:g} s of {self.workers} core(s) each")
            with tempfile.TemporaryDirectory(dir=self.outputs, prefix="search-") as folder:
                row = self._both(number, Path(folder), report)
            rows.append({"seed": number, **row})
            report(told(row))
        return {"rows": rows}

    def tables(self, results: dict[str, Any]) -> list[Table | str]:
        """Return a line for each seed, and how the best loss fell; see `Bench`."""
        from nas.bench.search_tables import search_tables

        return search_tables(results)

    def _both(self, seed: int, folder: Path, report: Say) -> dict[str, Any]:
        own = self._arguments(seed, folder)
        plan = plan_search(compose("search", own))
        data, study = folder / "data.npz", folder / "study.db"
        write_arrays(plan.reference.task, self.cache, data, report)
        ours = [sys.executable, "-P", "-c", _START, *own]
        script = [sys.executable, "-P", str(_script()), str(data), str(study), *self._script_arguments(plan)]
        script += [f"--seed={seed}"]
        watches: dict[str, Watch] = {
            OURS: WatchJournal(plan.folder / "journal.log"),
            SCRIPT: WatchSqlite(study),
        }
        sides = {
            name: Side(command, folder / f"{name}.log", cores=self.workers, look=watches[name].look)
            for name, command in {OURS: ours, SCRIPT: script}.items()
        }
        take_turns(sides, self.seconds, self.turn)
        studies = {OURS: _journal(plan), SCRIPT: _sqlite(study)}
        return {name: found_by(studies[name], side, watches[name].seen) for name, side in sides.items()}

    def _arguments(self, seed: int, folder: Path) -> list[str]:
        trials = self.trials or _NEVER
        fixed = [f"n_trials={trials}", f"workers={self.workers}", f"seed={seed}", "study=ours"]
        paths = [f"paths.outputs={folder}", f"paths.cache={self.cache}"]
        return [*self.overrides, *fixed, *paths]

    def _script_arguments(self, plan: Plan) -> list[str]:
        trainer, encoder = plan.reference.config["trainer"], plan.reference.config["encoder"]
        arguments = {
            "jobs": self.workers,
            "steps": self.steps or trainer["steps"],
            "batch-size": trainer["batch_size"],
            "hidden-size": encoder["hidden_size"],
            **({"trials": -(-self.trials // self.workers)} if self.trials else {}),
        }
        return [f"--{key}={value}" for key, value in arguments.items()]


def _script() -> Path:
    return Path(str(resources.files("nas.bench.peers") / "plain_search.py"))


def _journal(plan: Plan) -> list[optuna.trial.FrozenTrial]:
    from nas.config.instantiate import instantiate_node

    storage = instantiate_node("storage", plan.config["storage"]).open(plan.folder)
    return _trials(storage)


def _sqlite(path: Path) -> list[optuna.trial.FrozenTrial]:
    return _trials(optuna.storages.RDBStorage(f"sqlite:///{path}"))


def _trials(storage: optuna.storages.BaseStorage) -> list[optuna.trial.FrozenTrial]:
    studies = storage.get_all_studies()
    return storage.get_all_trials(studies[0]._study_id) if studies else []
