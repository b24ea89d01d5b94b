"""Leases on a real server: one holder of a trial at any time, also when some are stopped or killed."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy

from nas.search.storages.leases import LostTrialError
from nas.search.storages.patient import is_away
from nas.search.storages.postgres import Postgres

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
optuna.logging.set_verbosity(optuna.logging.WARNING)
SECONDS = 60.0

Join = Callable[..., tuple[optuna.Study, Any]]


@pytest.fixture
def join(server: Any, tmp_path: Path) -> Iterator[Join]:
    """Join a study as another supervisor, in a folder of its own unless one is named."""
    made: list[Postgres] = []
    name = f"study-{uuid.uuid4().hex[:8]}"

    def another(folder: str | None = None, seconds: float = SECONDS) -> tuple[optuna.Study, Any]:
        path = tmp_path / (folder or str(len(made)))
        path.mkdir(exist_ok=True)
        storage = Postgres(server.url, lease_seconds=seconds)
        made.append(storage)
        opened = storage.open(path)
        study = optuna.create_study(study_name=name, storage=opened, load_if_exists=True)
        return study, storage.leases(name, path)

    yield another
    for storage in made:
        storage.close()


def asked(study: optuna.Study, leases: Any, folder: str = "/there") -> optuna.trial.Trial:
    with leases.turn():
        trial = leases.ask(study, {}, {})
        leases.take(trial.number, Path(folder))
    return trial


def free(study: optuna.Study, leases: Any) -> list[int]:
    with leases.turn():
        return [t.number for t in study.get_trials() if t.state.name == "RUNNING" and leases.is_free(t)]


def expire(leases: Any) -> None:
    """Let a supervisor's leases end, as if it had been silent for as long as they last."""
    leases._alone("UPDATE nas_leases SET expires = clock_timestamp() WHERE owner = :owner")
    leases._valid_until = leases._due = 0.0


def test_each_supervisor_has_a_number_and_knows_of_others(join: Join) -> None:
    (_, first), (_, second) = join(), join()
    assert (first.ordinal, second.ordinal) == (0, 1)
    assert (first.others(), second.others()) == (1, 1)
    first.leave()
    assert second.others() == 0
    assert join()[1].ordinal == 0


def test_a_renewed_trial_is_nobody_elses_and_an_expired_one_anybodys(join: Join) -> None:
    (study, first), (again, second) = join(), join()
    trial = asked(study, first)
    assert free(again, second) == []
    with pytest.raises(LostTrialError, match="trial 0 is in another supervisor's hands"), second.turn():
        second.take(trial.number, Path("/here"))
    expire(first)
    assert first.renew() == set()
    assert free(again, second) == []
    expire(first)
    assert free(again, second) == [0]
    with second.turn():
        assert second.take(0, Path("/here")) == Path("/there")
    second.confirm(0)
    with pytest.raises(LostTrialError):
        first.confirm(0)


def test_a_supervisor_that_returns_late_keeps_what_nobody_took(join: Join) -> None:
    (study, first), (again, second) = join(), join()
    numbers = [asked(study, first).number for _ in range(2)]
    expire(first)
    with second.turn():
        second.take(numbers[0], Path("/here"))
    assert first.renew() == {numbers[0]}
    first.confirm(numbers[1])
    assert free(again, second) == []


def test_another_start_in_the_same_folder_need_not_wait(join: Join) -> None:
    study, first = join("same")
    asked(study, first)
    again, second = join("same")
    assert free(again, second) == [0]
    with second.turn():
        second.take(0, Path("/there"))
    assert first.renew() == set()  # not yet due
    expire(first)
    assert first.renew() == {0}


def test_what_is_let_go_is_free_at_once_and_what_ended_is_forgotten(join: Join) -> None:
    (study, first), (again, second) = join(), join()
    for _ in range(2):
        asked(study, first)
    first.let_go(0)
    first.end(1)
    assert free(again, second) == [0]
    with second.turn():
        assert second.take(0, Path("/here")) == Path("/there")
    first.leave()
    assert free(again, second) == [1]  # that it ended is for Optuna to say


def test_trials_that_someone_asked_for_without_a_lease_are_left_alone(join: Join) -> None:
    study, leases = join()
    foreign = study.ask()
    study.enqueue_trial({})
    frozen = study.get_trials()[foreign.number]
    assert leases.is_foreign(frozen)
    assert free(study, leases) == []
    assert asked(study, leases).number == 1  # from the user's queue, and marked
    assert not leases.is_foreign(study.get_trials()[1])


def test_a_trial_whose_supervisor_died_before_the_lease_is_found(join: Join) -> None:
    (study, first), (again, second) = join(), join()
    with pytest.raises(ZeroDivisionError), first.turn():  # noqa: PT012
        first.ask(study, {}, {})
        raise ZeroDivisionError
    assert free(again, second) == [0]


def test_who_is_stopped_in_a_turn_does_not_stop_the_others(join: Join) -> None:
    (study, first), (again, second) = join(seconds=1), join()
    waited: list[float] = []

    def ask() -> None:
        began = time.monotonic()
        asked(again, second)
        waited.append(time.monotonic() - began)

    other = threading.Thread(target=ask)
    with pytest.raises(LostTrialError, match="the turn was over"), first.turn():  # noqa: PT012
        lost = first.ask(study, {}, {})
        first.take(lost.number, Path("/there"))
        other.start()
        other.join(60)
    assert 0.5 < waited[0] < 30
    with pytest.raises(LostTrialError):
        first.confirm(lost.number)
    assert free(again, second) == [lost.number]


def test_who_is_stopped_in_a_transaction_of_optunas_does_not_stop_the_others(
    join: Join,
) -> None:
    study, leases = join(seconds=1)
    with leases._engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT * FROM studies FOR UPDATE"))
        began = time.monotonic()
        asked(*join())  # which needs the study's row
        assert 0.5 < time.monotonic() - began < 30
        with pytest.raises(sqlalchemy.exc.DBAPIError) as error:
            connection.execute(sqlalchemy.text("SELECT 1"))
        connection.invalidate()
    assert is_away(error.value)
    study.tell(study.ask(), 1.0)


def test_turns_are_taken_by_one_at_a_time(join: Join) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(study: optuna.Study, leases: Any) -> None:
        for _ in range(5):
            with leases.turn():
                inside.append(1)
                most.append(len(inside))
                leases.ask(study, {}, {})
                inside.pop()

    members = [threading.Thread(target=work, args=join()) for _ in range(3)]
    for member in members:
        member.start()
    for member in members:
        member.join()
    assert most == [1] * 15


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_leases_outlive_a_restart_of_the_server(server: Any, join: Join, how: str) -> None:
    study, leases = join()
    trial = asked(study, leases)
    expire(leases)
    getattr(server, how)()
    back = threading.Timer(0.5, server.start)
    back.start()
    assert leases.renew() == set()
    back.join()
    leases.confirm(trial.number)
    asked(study, leases)
