"""Evaluations of a study that another process writes."""

from __future__ import annotations

import time
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

from nas.bench.watching import Watch, WatchJournal, WatchSqlite


@pytest.mark.parametrize("kind", [WatchJournal, WatchSqlite])
def test_each_evaluation_is_seen_once_and_in_time(kind: type[Watch], tmp_path: Path) -> None:
    path = tmp_path / "study"
    watch = kind(path)
    watch.look()
    path.touch()  # the file is there, and nothing in it
    watch.look()
    assert watch.seen == []
    storage: optuna.storages.BaseStorage
    if kind is WatchJournal:
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    else:
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    study = optuna.create_study(storage=storage)
    trials = [study.ask(), study.ask()]
    watch.look()
    began = time.time()
    trials[1].report(3.0, 50)
    watch.look()
    between = time.time()
    trials[0].report(2.5, 50)
    trials[1].report(2.0, 100)
    watch.look()
    watch.look()
    assert [value for _, value in watch.seen] in ([3.0, 2.5, 2.0], [3.0, 2.0, 2.5])
    assert began <= watch.seen[0][0] <= between <= watch.seen[1][0]
