"""Fills a study with trials, as if it had trained them."""

from __future__ import annotations

import json
import unittest.mock
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial

from nas.config.instantiate import instantiate_node
from nas.search.census import KEY
from nas.search.leaderboard import RESULT
from nas.search.plan import Plan
from nas.search.rungs.reports import DECIDED, PAUSED
from nas.search.storages.postgres_writes import OURS

_FACTS = {
    "architecture": "mha-mlp-conv",
    "parameters": 5000,
    "flops": 20000.0,
    "seconds": 1.0,
    "reason": None,
}


def fill(plan: Plan, finished: int, paused: int, seed: int) -> None:
    """Put trials into a study's storage.

    Args:
        plan: of the study.
        finished: trials that came to their end.
        paused: trials that wait at the first rung, behind all the others.
        seed: of what they are.
    """
    question = plan.question
    directions = [objective.direction for objective in question.objectives]
    inner = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed), directions=directions)
    for number in range(finished + paused):
        _add(inner, plan, number, number < finished)
    plan.folder.mkdir(parents=True)
    storage = instantiate_node("storage", plan.config["storage"])
    opened = storage.open(plan.folder)
    study = optuna.create_study(storage=opened, study_name=question.name, directions=directions)
    trials = inner.get_trials(deepcopy=False)
    if "url" in plan.config["storage"]:
        _insert(plan.config["storage"]["url"], study._study_id, trials)
    else:
        with unittest.mock.patch("os.fsync"):  # a wait for the disk for each would take minutes
            study.add_trials(trials)
    storage.close()


def _add(study: optuna.Study, plan: Plan, number: int, finished: bool) -> None:
    trial = study.ask()
    trial.set_user_attr(OURS, True)
    own = plan.question.space.overrides(trial)
    facts = {**_FACTS, "overrides": [*plan.question.base, *own], "own": len(own), "hash": f"{number:012x}"}
    trial.set_user_attr(RESULT, facts)
    trial.set_user_attr(KEY, f"{number:016x}")
    value = 1.0 + (number * 7919 % 1000) / 1000
    if finished:
        trial.report(value + 0.75, 25)
        trial.report(value + 0.5, 50)
        study.tell(trial, value)
    else:
        trial.report(value + 2.0, 25)
        trial.set_user_attr(DECIDED, {"25": PAUSED})


def _insert(url: str, study: int, trials: Sequence[FrozenTrial]) -> None:
    """Insert trials into Optuna's tables on a server, all at once: one by one, 15,000 take an hour."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(sqlalchemy.make_url(url).set(drivername="postgresql+psycopg"))
    known = sqlalchemy.MetaData()
    with engine.begin() as connection:
        known.reflect(connection, only=["trials", *_rows(trials[0], 0)])
        table = known.tables["trials"]
        heads = [
            {
                "study_id": study, "number": trial.number, "state": trial.state.name,
                "datetime_start": trial.datetime_start, "datetime_complete": trial.datetime_complete,
            }
            for trial in trials
        ]  # fmt: skip
        connection.execute(table.insert(), heads)
        wanted = sqlalchemy.select(table.c.number, table.c.trial_id).where(table.c.study_id == study)
        identity = {row.number: row.trial_id for row in connection.execute(wanted)}
        told = [_rows(trial, identity[trial.number]) for trial in trials]
        for name in told[0]:
            connection.execute(known.tables[name].insert(), [row for rows in told for row in rows[name]])
    engine.dispose()


def _rows(trial: FrozenTrial, identity: int) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a trial in each of Optuna's tables but its own."""
    told: dict[str, list[dict[str, Any]]] = {
        "trial_values": [
            {"objective": i, "value": value, "value_type": "FINITE"}
            for i, value in enumerate(trial.values or ())
        ],
        "trial_intermediate_values": [
            {"step": step, "intermediate_value": value, "intermediate_value_type": "FINITE"}
            for step, value in trial.intermediate_values.items()
        ],
        "trial_params": [
            {
                "param_name": name,
                "param_value": distribution.to_internal_repr(trial.params[name]),
                "distribution_json": distribution_to_json(distribution),
            }
            for name, distribution in trial.distributions.items()
        ],
        "trial_user_attributes": [
            {"key": key, "value_json": json.dumps(value)} for key, value in trial.user_attrs.items()
        ],
    }
    return {name: [{"trial_id": identity, **row} for row in rows] for name, rows in told.items()}
