"""What goes wrong between a supervisor and its server: lost answers, lost turns, trials ended by others."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState, create_trial
from sqlalchemy import event

from nas.search.storages.leases import LostTrialError
from nas.search.storages.postgres import Postgres
from nas.search.storages.postgres_writes import OURS

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
optuna.logging.set_verbosity(optuna.logging.WARNING)


class Two:
    """One study that two supervisors have opened, and Optuna alone."""

    def __init__(self, url: str, folder: Path, lease_seconds: float = 30.0) -> None:
        self.storages = [Postgres(url, lease_seconds=lease_seconds) for _ in range(2)]
        name = f"study-{uuid.uuid4().hex[:8]}"
        self.first, self.second = (
            optuna.create_study(study_name=name, storage=s.open(folder), load_if_exists=True)
            for s in self.storages
        )
        places = [folder / "1", folder / "2"]
        self.leases = [s.leases(name, place) for s, place in zip(self.storages, places, strict=True)]
        self._rdb = optuna.storages.RDBStorage(url.replace("postgresql:", "postgresql+psycopg:"))
        self.alone = optuna.load_study(study_name=name, storage=self._rdb)

    def close(self) -> None:
        self._rdb.remove_session()
        self._rdb.engine.dispose()
        for storage in self.storages:
            storage.close()

    def lose_answer(self, statement: str) -> None:
        """Let the first storage's next statement of a kind be carried out, and its answer be lost."""
        import psycopg  # of the extra `postgres`: a plain clone collects this file too

        engine = self.first._storage.inner._rdb.engine  # type: ignore[attr-defined]

        def lose(connection: Any, cursor: Any, text: str, values: Any, context: Any, many: bool) -> None:
            if statement in text:
                event.remove(engine, "after_cursor_execute", lose)
                driver = connection.connection.dbapi_connection
                if not driver.autocommit:
                    driver.commit()
                driver.close()
                raise sqlalchemy.exc.OperationalError(
                    text, values, psycopg.OperationalError("lost"), connection_invalidated=True
                )

        event.listen(engine, "after_cursor_execute", lose)


@pytest.fixture
def two(server: Any, tmp_path: Path) -> Iterator[Two]:
    made = Two(server.url, tmp_path)
    yield made
    made.close()


def ours(study: optuna.Study) -> optuna.Trial:
    study.enqueue_trial({}, user_attrs={OURS: True})
    return study.ask()


def test_who_was_stopped_in_a_turn_changes_nothing_of_a_trial_that_was_taken_over(
    server: Any, tmp_path: Path
) -> None:
    two, taken = Two(server.url, tmp_path, lease_seconds=3.0), dict[str, float]()

    def stopped() -> None:
        trial = two.leases[0].ask(two.first, {}, {})
        trial.suggest_float("x", 0, 1)
        trial.suggest_float("only here", 0, 1)
        time.sleep(6)  # as by SIGSTOP: the server ends the turn
        with two.leases[1].turn():
            [free] = [t for t in two.second.get_trials() if two.leases[1].is_free(t)]
            over = optuna.Trial(two.second, free._trial_id)
            taken["x"] = over.suggest_float("x", 0, 1)
            two.leases[1].take(over.number, tmp_path / "2")

    with pytest.raises(LostTrialError), two.leases[0].turn():
        stopped()
    assert two.alone.trials[0].params == two.second.trials[0].params == taken
    assert two.first.trials[0].params == taken
    with two.leases[0].turn():
        assert two.leases[0].ask(two.first, {}, {}).number == 1
    two.close()


def test_what_a_parameter_is_it_stays(two: Two) -> None:
    trial = ours(two.first)
    trial.suggest_float("x", 0, 1)  # not sent yet
    two.second._storage.inner.look_anew()  # type: ignore[attr-defined]
    over = optuna.Trial(two.second, two.second.get_trials(deepcopy=False)[0]._trial_id)
    kept = over.suggest_float("x", 0, 1)
    two.second.get_trials(deepcopy=False)
    assert two.first.trials[0].params == two.alone.trials[0].params == {"x": kept}


def test_a_trial_that_another_has_ended_stops_no_other(two: Two) -> None:
    trial = ours(two.first)
    trial.suggest_float("x", 0, 1)
    two.first.get_trials(deepcopy=False)
    trial.suggest_float("y", 0, 1)
    two.alone.tell(0, 1.0)
    assert ours(two.first).number == 1
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        trial.report(0.5, 1)
    ended = two.first.get_trials(deepcopy=False)[0]
    assert (ended.state, ended.params.keys()) == (TrialState.COMPLETE, {"x"})


def test_what_the_server_refuses_is_refused_once(two: Two) -> None:
    trial = ours(two.first)
    trial.suggest_float("x" * 600, 0, 1)
    with pytest.raises(sqlalchemy.exc.DataError):
        two.first.get_trials()
    trial.suggest_float("x", 0, 1)
    assert [t.params.keys() for t in two.first.get_trials()] == [{"x"}]
    two.first.tell(trial, 1.0)
    assert two.first.trials == two.alone.trials


def test_a_waiting_trial_is_not_lost_with_the_answer(two: Two) -> None:
    two.alone.enqueue_trial({"x": 0.5})
    two.lose_answer("UPDATE trials")
    trial = two.first.ask()
    assert trial.number == 0
    assert trial.suggest_float("x", 0, 1) == 0.5
    assert OURS in two.alone.trials[0].user_attrs  # whoever comes after a kill may take it over
    assert two.second.ask().number == 1


@pytest.mark.parametrize(
    ("statement", "do"),
    [
        ("INSERT INTO trials", lambda s: s.enqueue_trial({"x": 0.5}, user_attrs={OURS: True, "run": (1, 2)})),
        ("reports AS", lambda s: s.ask().set_user_attr("k", [1])),
        ("reports AS", lambda s: (s.ask().suggest_float("x", 0, 1), s.trials)),
        ("reports AS", lambda s: s.ask().report(0.5, 1)),
        ("UPDATE trials", lambda s: s.tell(s.ask(), 0.25)),
    ],
)
def test_a_call_whose_answer_is_lost_is_made_once(
    two: Two, statement: str, do: Callable[[optuna.Study], Any]
) -> None:
    two.first.get_trials()
    two.lose_answer(statement)
    do(two.first)
    assert len(two.alone.trials) == 1
    assert two.first.trials == two.second.trials == two.alone.trials


def test_what_is_told_together_is_sent_together_and_once(two: Two) -> None:
    trial, sent = ours(two.first), list[str]()
    engine = two.first._storage.inner._rdb.engine  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", lambda c, cursor, text, *_: sent.append(text))
    two.lose_answer("reports AS")
    with two.leases[0].together():
        trial.set_user_attr("a", 1)
        trial.report(0.5, 25)
        trial.set_user_attr("b", {"25": "paused"})
        assert trial.user_attrs["a"] == two.first.trials[0].user_attrs["a"] == 1
        assert "a" not in two.alone.trials[0].user_attrs
    assert sum("reports AS" in text for text in sent) == 2  # the answer to the first one was lost
    assert two.alone.trials[0].intermediate_values == {25: 0.5}
    assert two.alone.trials[0].user_attrs["b"] == {"25": "paused"}
    assert two.first.trials == two.second.trials == two.alone.trials


def test_what_is_told_together_is_there_before_a_trial_ends(two: Two) -> None:
    trial = ours(two.first)
    with two.leases[0].together():
        trial.set_user_attr("a", 1)
        two.first.tell(trial, 1.0)
        assert two.alone.trials[0].user_attrs["a"] == 1
    assert two.first.trials == two.second.trials == two.alone.trials


def test_after_an_error_what_was_told_together_is_dropped(two: Two) -> None:
    trial = ours(two.first)

    def tell() -> None:
        trial.set_user_attr("a", 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), two.leases[0].together():
        tell()
    trial.set_user_attr("b", 1)
    assert two.first.trials == two.second.trials == two.alone.trials
    assert two.alone.trials[0].user_attrs.keys() & {"a", "b"} == {"b"}


def test_what_is_told_together_of_an_ended_trial_is_refused_once(two: Two) -> None:
    trial = ours(two.first)
    two.first.get_trials(deepcopy=False)
    two.alone.tell(0, 1.0)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError), two.leases[0].together():
        trial.set_user_attr("a", 1)
    assert ours(two.first).number == 1
    assert two.first.trials == two.second.trials == two.alone.trials


def test_a_trial_that_is_added_with_its_end_has_a_time(two: Two) -> None:
    two.first.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"k": 1}))
    assert two.alone.trials[0].datetime_complete is not None
    assert two.first.trials == two.alone.trials


def test_samplers_see_what_others_have_completed(two: Two) -> None:
    with two.leases[0].turn():
        two.leases[0].ask(two.first, {}, {}).suggest_float("x", 0, 1)
    two.first._get_trials(deepcopy=False, use_cache=True)
    for _ in range(15):
        two.second.tell(ours(two.second), 1.0)
    with two.leases[0].turn():
        two.leases[0].ask(two.first, {}, {})
    seen = two.first._get_trials(deepcopy=False, use_cache=True)
    assert sum(t.state is TrialState.COMPLETE for t in seen) == 15


def test_a_study_that_somebody_removed_hinders_no_other(two: Two) -> None:
    trial = ours(two.first)
    two.first.get_trials()
    optuna.delete_study(study_name=two.alone.study_name, storage=two._rdb)
    with pytest.raises(KeyError):
        trial.report(0.5, 1)
    other = optuna.create_study(storage=two.first._storage)
    assert [t.number for t in (ours(other), ours(other))] == [0, 1]
    assert len(other.trials) == 2
