"""When another process's study was seen to hold which evaluation: storages keep no time of these."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import optuna
from optuna.storages.journal import JournalFileBackend

Reading = tuple[int, int, float]
"""Trial, step and value of an evaluation before a trial's end."""


class Watch(ABC):
    """Looks into a file that another process writes.

    Attributes:
        seen: (moment of `time.time`, value) of every evaluation, in the order of their discovery.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[tuple[float, float]] = []
        self._known: set[tuple[int, int]] = set()

    def look(self) -> None:
        """Note what is new; a study that does not exist yet has nothing."""
        if not self.path.is_file():
            return
        for number, step, value in self._readings():
            if (number, step) not in self._known:
                self._known.add((number, step))
                self.seen.append((time.time(), value))

    @abstractmethod
    def _readings(self) -> Iterable[Reading]:
        """Return what the file holds now."""


class WatchJournal(Watch):
    """Looks into Optuna's journal, reading each line once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._storage: optuna.storages.JournalStorage | None = None

    def _readings(self) -> Iterable[Reading]:
        if self._storage is None:
            self._storage = optuna.storages.JournalStorage(JournalFileBackend(str(self.path)))
        for study in self._storage.get_all_studies():
            for trial in self._storage.get_all_trials(study._study_id, deepcopy=False):
                yield from ((trial.number, step, value) for step, value in trial.intermediate_values.items())


class WatchSqlite(Watch):
    """Looks into Optuna's tables without Optuna, which would make them if it came first."""

    QUERY = (
        "SELECT number, step, intermediate_value FROM trial_intermediate_values "
        "JOIN trials USING (trial_id) WHERE intermediate_value IS NOT NULL"
    )

    def _readings(self) -> Iterable[Reading]:
        connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
        with contextlib.closing(connection), contextlib.suppress(sqlite3.OperationalError):  # no tables yet
            return list(connection.execute(self.QUERY))
        return []
