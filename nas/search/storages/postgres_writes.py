"""What Optuna writes of a trial, in its tables: one statement each, which announces itself to others.

Optuna sends five to ten statements for each of them, and can write several only with a new trial.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    import sqlalchemy

_LIVE = """WITH live AS (SELECT trial_id, state FROM trials
    WHERE trial_id = %(trial)s AND state IN ('RUNNING', 'WAITING') {lock}),
announced AS (INSERT INTO nas_changes SELECT trial_id, %(writer)s, txid_current() FROM live
    ON CONFLICT (trial, writer) DO UPDATE SET changed = excluded.changed)"""
_SOON = ", set_config('synchronous_commit', 'off', true)"
OURS = "leased"
"""The user attribute of trials that were asked for by a supervisor; others are left alone."""
_ATTRIBUTE = """INSERT INTO trial_{kind}_attributes (trial_id, key, value_json)
    SELECT trial_id, %(key)s, %(value)s FROM live
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json RETURNING 1{soon}"""
# What a parameter is, it stays: a supervisor that was stopped may send it after another one took over.
_PARAMETERS = """, put AS (INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
    SELECT live.trial_id, given.* FROM live,
    unnest(%(names)s::text[], %(values)s::float8[], %(distributions)s::text[]) AS given
    ON CONFLICT (trial_id, param_name) DO NOTHING RETURNING 1)
SELECT (SELECT count(*) FROM put){soon} FROM live"""
_VALUE_AT = """INSERT INTO trial_intermediate_values
    (trial_id, step, intermediate_value, intermediate_value_type)
    SELECT trial_id, %(step)s, %(value)s::float8, %(kind)s::trialintermediatevaluetype FROM live
    ON CONFLICT (trial_id, step) DO UPDATE SET intermediate_value = excluded.intermediate_value,
    intermediate_value_type = excluded.intermediate_value_type RETURNING 1{soon}"""
_STATE = """, given AS (INSERT INTO trial_values (trial_id, objective, value, value_type)
    SELECT live.trial_id, n - 1, value, kind::trialvaluetype FROM live,
    unnest(%(values)s::float8[], %(kinds)s::text[]) WITH ORDINALITY AS given(value, kind, n)
    ON CONFLICT (trial_id, objective) DO UPDATE
    SET value = excluded.value, value_type = excluded.value_type),
marked AS (INSERT INTO trial_user_attributes (trial_id, key, value_json)
    SELECT trial_id, %(ours)s, %(mark)s FROM live WHERE live.state = 'WAITING' AND %(state)s = 'RUNNING'
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json)
UPDATE trials SET state = %(state)s::trialstate, datetime_start = coalesce(%(start)s, datetime_start),
    datetime_complete = coalesce(%(end)s, datetime_complete) FROM live
    WHERE trials.trial_id = live.trial_id AND (%(state)s <> 'RUNNING' OR live.state = 'WAITING')
    RETURNING 1{soon}"""
_TOOK = """SELECT FROM trials JOIN trial_user_attributes USING (trial_id)
    WHERE trial_id = %(trial)s AND state = 'RUNNING' AND key = %(ours)s AND value_json = %(mark)s"""
_STUDY = "SELECT FROM studies WHERE study_id = %(study)s FOR UPDATE"
_TRIAL = """WITH made AS (INSERT INTO trials (study_id, number, state, datetime_start)
    SELECT %(study)s, coalesce((SELECT number + 1 FROM trials WHERE study_id = %(study)s
    ORDER BY trial_id DESC LIMIT 1), 0), %(state)s::trialstate, %(start)s
    RETURNING trial_id, number),
of_user AS (INSERT INTO trial_user_attributes (trial_id, key, value_json)
    SELECT made.trial_id, given.* FROM made, unnest(%(keys)s::text[], %(values)s::text[]) AS given),
of_optuna AS (INSERT INTO trial_system_attributes (trial_id, key, value_json)
    SELECT made.trial_id, given.* FROM made, unnest(%(own_keys)s::text[], %(own_values)s::text[]) AS given)
SELECT trial_id, number FROM made"""


class Writes:
    """Writes into the tables of Optuna's storage what that would write.

    Each method but `trial` returns whether there is such a trial that has not ended: if not, nothing is
    written. ``durable``: it is on disk then; else within a second, or with what is next written so.

    Args:
        engine: of Optuna's storage.
        writer: this process, in announcements.
    """

    def __init__(self, engine: sqlalchemy.Engine, writer: str) -> None:
        self._engine, self._writer = engine, writer
        self._mark: dict[str, Any] = {"ours": OURS, "mark": json.dumps(writer)}
        self._alone = engine.execution_options(isolation_level="AUTOCOMMIT")

    def attribute(self, trial: int, kind: str, key: str, value: Any) -> bool:
        """Set an attribute, of ``kind`` user or system."""
        statement = _ATTRIBUTE.replace("{kind}", kind)
        return bool(self._write(statement, trial, key=key, value=json.dumps(value)))

    def parameters(self, trial: int, given: Mapping[str, tuple[float, BaseDistribution]]) -> bool:
        """Set parameters, in Optuna's internal values; return whether none of them was there."""
        values = [float(value) for value, _ in given.values()]  # of a choice it is an integer
        texts = [distribution_to_json(distribution) for _, distribution in given.values()]
        asked: dict[str, Any] = {"names": list(given), "values": values, "distributions": texts}
        return self._write(_PARAMETERS, trial, durable=False, **asked) == len(given)

    def value_at(self, trial: int, step: int, value: float) -> bool:
        """Set the value at a step."""
        stored, kind = _stored(value)
        return bool(self._write(_VALUE_AT, trial, durable=False, step=step, value=stored, kind=kind))

    def state(self, trial: int, state: TrialState, values: Sequence[float] | None, moment: datetime) -> bool:
        """Let a trial that waits run, as one of this process's, or end one, at a ``moment`` of local time."""
        stored = [_stored(value) for value in values or ()]
        asked: dict[str, Any] = {"values": [v for v, _ in stored], "kinds": [kind for _, kind in stored]}
        asked["start"] = _utc(moment) if state is TrialState.RUNNING else None
        asked["end"] = _utc(moment) if state.is_finished() else None
        return bool(self._write(_STATE, trial, lock="FOR UPDATE", state=state.name, **self._mark, **asked))

    def took(self, trial: int) -> bool:
        """Return whether it was this process that let a waiting trial run."""
        with self._alone.connect() as connection:
            return bool(connection.exec_driver_sql(_TOOK, {"trial": trial, **self._mark}).rowcount)

    def trial(self, study: int, template: FrozenTrial) -> tuple[int, int]:
        """Make a trial that has nothing but attributes; return its id and number.

        Raises:
            KeyError: there is no such study.
        """
        start = template.datetime_start
        asked: dict[str, Any] = {"study": study, "state": template.state.name}
        asked["start"] = None if start is None else _utc(start)
        for prefix, attributes in (("", template.user_attrs), ("own_", template.system_attrs)):
            asked[f"{prefix}keys"] = list(attributes)
            asked[f"{prefix}values"] = [json.dumps(value) for value in attributes.values()]
        with self._engine.begin() as connection:
            if not connection.exec_driver_sql(_STUDY, asked).rowcount:
                raise KeyError(f"study {study}")
            made, number = connection.exec_driver_sql(_TRIAL, asked).one()
        return made, number

    def _write(
        self, statement: str, trial: int, durable: bool = True, lock: str = "", **values: Any
    ) -> int | None:
        """Return the number that the statement tells; None if there is no such trial any more."""
        text = f"{_LIVE} {statement}".format(lock=lock, soon="" if durable else _SOON)
        with self._alone.connect() as connection:
            asked = {"trial": trial, "writer": self._writer, **values}
            row = connection.exec_driver_sql(text, asked).first()
            return None if row is None else int(row[0])


def _stored(value: float) -> tuple[float | None, str]:
    """Return a value as Optuna's tables have it: what is not finite is told in words."""
    if value != value:
        return None, "NAN"
    infinite = {float("inf"): "INF_POS", float("-inf"): "INF_NEG"}
    return (None, infinite[value]) if value in infinite else (float(value), "FINITE")


def _utc(moment: datetime) -> datetime:
    """Return a moment of local time as the tables have it: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)
