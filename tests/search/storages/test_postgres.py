"""PostgreSQL: a real server, stopped, killed and started again under a study."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nas.errors import InputError, NasError
from nas.search.storages.postgres import Postgres

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
optuna.logging.set_verbosity(optuna.logging.WARNING)


class Clients:
    """Storages of one server, closed when the test ends."""

    def __init__(self, server: Any, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.made: list[Postgres] = []

    def storage(self, more: str = "", **settings: Any) -> Postgres:
        self.made.append(Postgres(self.server.url + more, **settings))
        return self.made[-1]

    def study(self, name: str, **settings: Any) -> optuna.Study:
        storage = self.storage(**settings).open(self.folder)
        return optuna.create_study(study_name=name, storage=storage, load_if_exists=True)


@pytest.fixture
def name() -> str:
    return f"study-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def clients(server: Any, tmp_path: Path) -> Iterator[Clients]:
    made = Clients(server, tmp_path)
    yield made
    for storage in made.made:
        storage.close()


def test_trials_are_there_for_another_machine(clients: Clients, name: str) -> None:
    clients.study(name).optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    again = clients.study(name)
    assert [t.state for t in again.get_trials()] == [TrialState.COMPLETE] * 3


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_study_outlives_a_restart(server: Any, clients: Clients, name: str, how: str) -> None:
    study = clients.study(name)
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    getattr(server, how)()
    back = threading.Timer(0.5, server.start)
    back.start()
    study.tell(trial, 1.0)
    back.join()
    study.tell(study.ask(), 2.0)
    assert [t.value for t in clients.study(name).get_trials()] == [1.0, 2.0]


def test_a_server_that_stays_away_ends_the_search_in_one_line(
    server: Any, clients: Clients, name: str
) -> None:
    study = clients.study(name, patience=0.3)
    server.stop()
    try:
        with pytest.raises(NasError, match=r"is away for more than 0\.3 s .*run the same command") as error:
            study.ask()
        assert "\n" not in str(error.value)
    finally:
        server.start()


def test_an_address_where_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"storage\.url=postgresql.*:1/x cannot be used: .*refused") as error:
        Postgres("postgresql://me:secret@127.0.0.1:1/x").open(tmp_path)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_read_only_database(clients: Clients, name: str, tmp_path: Path) -> None:
    clients.study(name)
    with pytest.raises(InputError, match="is read-only for this user"):
        clients.storage("?options=-c%20default_transaction_read_only%3Don").open(tmp_path)


def test_opening_may_take_longer_than_a_lease(
    clients: Clients, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(optuna.storages.RDBStorage):
        def __init__(self, *args: Any, **settings: Any) -> None:
            time.sleep(1.5)
            super().__init__(*args, **settings)

    monkeypatch.setattr(optuna.storages, "RDBStorage", Slow)
    assert clients.study(name, lease_seconds=0.5).ask().number == 0


@pytest.mark.parametrize("url", ["", "sqlite:///x.db", "postgresql://host", "mysql://a@b/c", "nonsense"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"must be of the form postgresql://user@host:5432/database"):
        Postgres(url)
