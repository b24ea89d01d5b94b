"""Trials in memory: what others change is seen, what nobody changes is the same object, as Optuna has it."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from nas.bench.filling import fill
from nas.config.compose import compose
from nas.search.plan import plan_search
from nas.search.rungs.reports import reported
from nas.search.storages import postgres_changes, postgres_memory
from nas.search.storages.journal import Journal
from nas.search.storages.postgres import Postgres
from nas.search.storages.postgres_writes import OURS

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def studies(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[optuna.Study]]:
    """One study, opened by two of ours and by Optuna alone."""
    monkeypatch.setattr(postgres_memory, "LOOK_SECONDS", 0.0)
    name = f"study-{uuid.uuid4().hex[:8]}"
    ours = [Postgres(server.url), Postgres(server.url)]
    made = [optuna.create_study(study_name=name, storage=s.open(tmp_path), load_if_exists=True) for s in ours]
    alone = optuna.storages.RDBStorage(server.url.replace("postgresql:", "postgresql+psycopg:"))
    yield [*made, optuna.load_study(study_name=name, storage=alone)]
    alone.remove_session()
    alone.engine.dispose()
    for storage in ours:
        storage.close()


def seen(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False)


def ours(study: optuna.Study) -> optuna.Trial:
    study.enqueue_trial({}, user_attrs={OURS: True})
    return study.ask()


def test_every_step_is_seen_by_all_as_optuna_has_it(studies: list[optuna.Study]) -> None:
    first, second, alone = studies
    trial = ours(first)
    steps = [
        lambda: trial.suggest_float("x", 1e-3, 1.0, log=True),
        lambda: trial.suggest_categorical("kind", ["a", None, 3]),
        lambda: trial.suggest_int("n", 2, 8, step=2),
        lambda: trial.report(float("inf"), 25),
        lambda: trial.report(0.5, 50),
        lambda: trial.set_user_attr("told", {"a": (1, 2), "b": None}),
        lambda: trial.set_user_attr("told", {"a": 3}),
        lambda: trial.set_constraint("small", 0.5),
        lambda: first.tell(trial, 1.0),
    ]
    for step in steps:
        step()
        assert seen(first) == seen(second) == seen(alone)
    assert second.ask().number == 1
    assert [t.number for t in seen(first)] == [0, 1]


def test_what_others_change_is_known_soon_and_at_once_where_it_decides(
    studies: list[optuna.Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = studies
    trial = ours(first)
    seen(second)
    monkeypatch.setattr(postgres_memory, "LOOK_SECONDS", 60.0)
    seen(second)
    trial.report(0.5, 25)
    assert not seen(second)[0].intermediate_values
    second._storage.inner.look_anew()  # type: ignore[attr-defined]
    assert seen(second)[0].intermediate_values == {25: 0.5}
    assert [t.number for t in (ours(first), ours(second))] == [1, 2]
    assert [t.number for t in seen(second)] == [0, 1, 2]  # who makes a trial has looked
    monkeypatch.setattr(postgres_memory, "LOOK_SECONDS", 0.05)
    trial.report(0.25, 50)
    deadline = time.monotonic() + 30
    while 50 not in seen(second)[0].intermediate_values:
        assert time.monotonic() < deadline


def test_what_nobody_changed_is_the_same_object(studies: list[optuna.Study]) -> None:
    first, second, _ = studies
    trials = [ours(first) for _ in range(3)]
    before = seen(second)
    trials[1].set_user_attr("decided", {"25": "paused"})
    after = seen(second)
    assert [a is b for a, b in zip(before, after, strict=True)] == [True, False, True]
    assert all(a is b for a, b in zip(after, seen(second), strict=True))


def test_transactions_that_end_in_another_order_are_seen(server: Any, studies: list[optuna.Study]) -> None:
    first, second, _ = studies
    trial = ours(first)
    seen(second)
    engine = sqlalchemy.create_engine(server.url.replace("postgresql:", "postgresql+psycopg:"))
    slow = threading.Thread(target=trial.set_user_attr, args=("slow", 1))
    with engine.connect() as lock, engine.connect() as look:
        held = "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (:trial, 'slow', '0')"
        lock.execute(sqlalchemy.text(held), {"trial": trial._trial_id})
        slow.start()
        waiting = sqlalchemy.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not look.execute(waiting).scalar_one():
            time.sleep(0.01)
        other = ours(second)
        other.set_user_attr("quick", 1)
        assert "slow" not in seen(second)[0].user_attrs
        lock.rollback()
    engine.dispose()
    slow.join()
    assert seen(second)[0].user_attrs["slow"] == 1
    assert seen(first)[1].user_attrs["quick"] == 1


def test_what_is_done_with_optuna_alone_is_seen(
    studies: list[optuna.Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _, alone = studies
    monkeypatch.setattr(postgres_memory, "FOREIGN_SECONDS", 0.0)
    ours(first)
    mine = alone.ask()
    assert [t.number for t in seen(first)] == [0, 1]
    mine.set_user_attr("own", 1)
    assert seen(first)[1].user_attrs == {"own": 1}
    alone.tell(mine, 1.0)
    alone.tell(0, state=TrialState.FAIL)
    assert seen(first) == seen(alone)


def test_a_trial_of_another_process_gets_its_parameters(studies: list[optuna.Study]) -> None:
    first, second, alone = studies
    trial = ours(first)
    trial.suggest_float("x", 0, 1)
    seen(first)  # which sends it
    taken = optuna.Trial(second, seen(second)[0]._trial_id)
    taken.suggest_float("y", 0, 1)
    taken.suggest_categorical("kind", ["a", "b"])
    assert set(seen(second)[0].params) == {"x", "y", "kind"}
    assert seen(second) == seen(first) == seen(alone)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_after_a_restart_the_server_is_believed(server: Any, studies: list[optuna.Study], how: str) -> None:
    first, second, alone = studies
    trial = ours(first)
    trial.report(0.5, 25)  # which may be lost
    seen(first), seen(second)
    getattr(server, how)()
    server.start()
    alone._storage._backend.engine.dispose()  # type: ignore[attr-defined]
    trial.set_user_attr("later", 1)
    assert seen(first) == seen(second) == seen(alone)


def test_what_optuna_refuses_is_refused(studies: list[optuna.Study]) -> None:
    first, _, alone = studies
    trial, ended = ours(first), ours(first)
    trial.suggest_int("n", 1, 4)
    first.tell(ended, 1.0)
    storage, known = first._storage, seen(first)
    for write in (
        lambda s: s.set_trial_param(known[0]._trial_id, "n", 0.0, FloatDistribution(0, 1)),
        lambda s: s.set_trial_param(known[1]._trial_id, "n", 1, known[0].distributions["n"]),
        lambda s: s.set_trial_user_attr(known[1]._trial_id, "late", 1),
        lambda s: s.set_trial_system_attr(known[1]._trial_id, "late", 1),
        lambda s: s.set_trial_intermediate_value(known[1]._trial_id, 1, 0.5),
        lambda s: s.set_trial_state_values(known[1]._trial_id, TrialState.FAIL),
        lambda s: s.set_trial_user_attr(10**6, "nobody's", 1),
        lambda s: s.create_new_trial(10**6),
    ):
        with pytest.raises(Exception) as wanted:  # noqa: PT011
            write(alone._storage._backend)  # type: ignore[attr-defined]
        with pytest.raises(wanted.type):
            write(storage)
    assert storage.set_trial_state_values(known[0]._trial_id, TrialState.RUNNING) is False
    assert seen(first) == seen(alone)


def test_a_trial_that_waits_is_taken_by_one(studies: list[optuna.Study]) -> None:
    first, second, alone = studies
    first.enqueue_trial({"x": 0.5}, user_attrs={"by": "hand"})
    with ThreadPoolExecutor() as pool:
        for _ in range(10):
            first.enqueue_trial({})
            waiting = next(t for t in seen(second) if t.state is TrialState.WAITING)
            take = [s._storage.set_trial_state_values for s in (first, second)]
            taken = pool.map(lambda t, i=waiting._trial_id: t(i, TrialState.RUNNING), take)
            assert sorted(taken) == [False, True]
    assert seen(first) == seen(second) == seen(alone)
    assert seen(first)[0].user_attrs.keys() == {"by", OURS}


@pytest.mark.parametrize("values", [[float("inf"), -1.5], [float("-inf"), 2], None])
def test_values_and_times_are_those_of_optuna(
    server: Any, tmp_path: Path, values: list[float] | None
) -> None:
    storage = Postgres(server.url)
    name = f"study-{uuid.uuid4().hex[:8]}"
    study = optuna.create_study(
        study_name=name, storage=storage.open(tmp_path), directions=["minimize", "maximize"]
    )
    trial = ours(study)
    study._storage.set_trial_intermediate_value(trial._trial_id, 1, float("nan"))
    study.tell(trial, values, state=TrialState.FAIL if values is None else None)
    alone = optuna.storages.RDBStorage(server.url.replace("postgresql:", "postgresql+psycopg:"))
    [kept], [known] = optuna.load_study(study_name=name, storage=alone).trials, seen(study)
    assert kept.intermediate_values.keys() == {1}
    assert str(kept) == str(known)  # not a number is not equal to itself
    assert abs((known.datetime_complete - datetime.now()).total_seconds()) < 60
    alone.remove_session()
    alone.engine.dispose()
    storage.close()


def test_a_bench_fills_a_study_as_optuna_does(server: Any, tmp_path: Path) -> None:
    kept = {"journal": [], "postgres": [f"storage.url={server.url}"]}
    found = []
    for storage, more in kept.items():
        own = [
            "sweep=layer_choice",
            "study=filled",
            f"storage={storage}",
            f"paths.outputs={tmp_path / storage}",
        ]
        plan = plan_search(compose("search", [*own, *more]))
        fill(plan, finished=4, paused=2, seed=0)
        opened = Postgres(server.url) if more else Journal()
        study = optuna.load_study(study_name="filled", storage=opened.open(plan.folder))
        found.append([(t.number, t.state, t.params, t.values, reported(t)) for t in seen(study)])
        found[-1] += [t.user_attrs for t in seen(study)]
        opened.close()
    assert found[0] == found[1]
    assert len(found[0]) == 12


def test_a_study_that_was_deleted_has_no_trials(studies: list[optuna.Study]) -> None:
    first, second, alone = studies
    ours(first)
    assert len(seen(first)) == len(seen(second)) == 1
    optuna.delete_study(study_name=alone.study_name, storage=alone._storage)
    for study in (first, first, second):
        with pytest.raises(KeyError):
            seen(study)
    with pytest.raises(KeyError):
        first._storage.get_trial(0)


def test_a_change_is_seen_although_another_study_was_looked_at(
    server: Any, tmp_path: Path, studies: list[optuna.Study]
) -> None:
    first, second, _ = studies
    trial = ours(first)
    seen(second)
    trial.report(0.5, 25)
    other = optuna.create_study(storage=second._storage)
    assert not seen(other)
    assert seen(second)[0].intermediate_values == {25: 0.5}


def rows(server: Any) -> list[Any]:
    engine = sqlalchemy.create_engine(server.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        found = list(connection.execute(sqlalchemy.text("SELECT trial FROM nas_changes WHERE trial >= 0")))
    engine.dispose()
    return found


def test_old_announcements_are_removed_and_who_has_missed_them_reads_anew(
    server: Any, studies: list[optuna.Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, alone = studies
    trials = [ours(first) for _ in range(3)]
    seen(first), seen(second)
    for trial in trials:
        trial.set_user_attr("before", 1)
    assert len(rows(server)) >= 3
    monkeypatch.setattr(postgres_changes, "CLEAN_SECONDS", 0.0)
    for _ in range(4):
        seen(first)
    assert not rows(server)
    trials[0].set_user_attr("after", 1)
    assert len(rows(server)) == 1
    assert seen(second) == seen(alone)
    before = seen(second)
    assert all(a is b for a, b in zip(before, seen(second), strict=True))  # once is enough


def test_nothing_is_removed_that_a_transaction_still_announces(
    server: Any, studies: list[optuna.Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, alone = studies
    trial = ours(first)
    monkeypatch.setattr(postgres_changes, "CLEAN_SECONDS", 0.0)
    seen(first), seen(second)
    engine = sqlalchemy.create_engine(server.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as slow:
        announce = "INSERT INTO nas_changes SELECT :trial, 'slow', txid_current()"
        slow.execute(sqlalchemy.text(announce), {"trial": trial._trial_id})
        held = "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (:trial, 'slow', '1')"
        slow.execute(sqlalchemy.text(held), {"trial": trial._trial_id})
        for number in range(5):
            trial.report(0.5, number)
            assert seen(first) == seen(second) == seen(alone)
        slow.commit()
    engine.dispose()
    assert seen(second)[0].user_attrs["slow"] == 1
    assert seen(first) == seen(second) == seen(alone)


def test_during_a_long_transaction_a_look_returns_what_is_new_alone(
    server: Any, studies: list[optuna.Study]
) -> None:
    first, second, _ = studies
    engine = sqlalchemy.create_engine(server.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as long:
        long.execute(sqlalchemy.text("SELECT txid_current()"))
        trials = [ours(first) for _ in range(4)]
        for trial in trials:
            trial.set_user_attr("a", 1)
        seen(second)
        told = second._storage.inner._changes  # type: ignore[attr-defined]
        trials[2].set_user_attr("a", 2)
        last = trials[-1]._trial_id
        assert told.since(second._study_id, last).changed == {trials[2]._trial_id}
        assert told.since(second._study_id, last).changed == set()
    engine.dispose()


def test_a_database_that_was_restored_elsewhere_is_no_hindrance(
    server: Any, tmp_path: Path, studies: list[optuna.Study]
) -> None:
    first, _, _ = studies
    ours(first)
    engine = sqlalchemy.create_engine(server.url.replace("postgresql:", "postgresql+psycopg:"))
    restored = """INSERT INTO nas_changes VALUES (-1, '', 1::bigint << 60), (7, 'x', 1::bigint << 60)
        ON CONFLICT (trial, writer) DO UPDATE SET changed = excluded.changed"""
    with engine.begin() as connection:  # there, transactions had larger numbers
        connection.execute(sqlalchemy.text(restored))
    engine.dispose()
    storage = Postgres(server.url)
    opened = optuna.load_study(study_name=first.study_name, storage=storage.open(tmp_path))
    assert seen(opened)[0] is seen(opened)[0]
    assert not [row for row in rows(server) if row.trial == 7]
    storage.close()
