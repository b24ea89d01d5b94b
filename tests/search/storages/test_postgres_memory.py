"""Trials in memory: what others change is seen, what nobody changes is the same object, as Optuna has it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from nas.search.storages import postgres_memory
from nas.search.storages.postgres import Postgres
from nas.search.storages.postgres_leases import OURS

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def studies(server: Any, tmp_path: Path) -> Iterator[list[optuna.Study]]:
    """One study, opened by two of ours and by Optuna alone."""
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
    inside, go_on = threading.Event(), threading.Event()
    engine = first._storage.inner._inner._backend.engine  # type: ignore[attr-defined]

    def hold(connection: sqlalchemy.Connection) -> None:
        inside.set()
        assert go_on.wait(30)

    slow = threading.Thread(target=trial.set_user_attr, args=("slow", 1))
    sqlalchemy.event.listen(engine, "commit", hold)  # after it was announced
    slow.start()
    assert inside.wait(30)
    other = ours(second)
    other.set_user_attr("quick", 1)
    assert "slow" not in seen(second)[0].user_attrs
    go_on.set()
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
    taken = optuna.Trial(second, seen(second)[0]._trial_id)
    taken.suggest_float("y", 0, 1)
    assert set(seen(first)[0].params) == {"x", "y"}
    assert seen(second) == seen(alone)


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
