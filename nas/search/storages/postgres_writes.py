"""What Optuna writes of a trial, in its tables, in one statement that announces itself to others.

Optuna sends five to ten statements for each attribute, and can write several only with a new trial.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


def _attributes_of(trial: str) -> str:
    """Return the parts of a statement that set attributes of the trial in another part of it."""
    return ", ".join(
        f"""of_{kind} AS (INSERT INTO trial_{kind}_attributes (trial_id, key, value_json)
    SELECT {trial}.trial_id, given.* FROM {trial},
    unnest(%({kind}_keys)s::text[], %({kind})s::text[]) AS given
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json)"""
        for kind in ("user", "system")
    )


# What a parameter is, it stays: a supervisor that was stopped may send it after another one took over.
_TOLD = f""", parameters AS (INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
    SELECT live.trial_id, given.* FROM live,
    unnest(%(names)s::text[], %(values)s::float8[], %(distributions)s::text[]) AS given
    ON CONFLICT (trial_id, param_name) DO NOTHING RETURNING 1),
{_attributes_of("live")},
reports AS (INSERT INTO trial_intermediate_values
    (trial_id, step, intermediate_value, intermediate_value_type)
    SELECT live.trial_id, step, value, kind::trialintermediatevaluetype FROM live,
    unnest(%(steps)s::int[], %(reported)s::float8[], %(kinds)s::text[]) AS given(step, value, kind)
    ON CONFLICT (trial_id, step) DO UPDATE SET intermediate_value = excluded.intermediate_value,
    intermediate_value_type = excluded.intermediate_value_type)
SELECT (SELECT count(*) FROM parameters){{soon}} FROM live"""
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
_TRIAL = f"""WITH made AS (INSERT INTO trials (study_id, number, state, datetime_start)
    SELECT %(study)s, coalesce((SELECT number + 1 FROM trials WHERE study_id = %(study)s
    ORDER BY trial_id DESC LIMIT 1), 0), %(state)s::trialstate, %(start)s
    RETURNING trial_id, number),
{_attributes_of("made")}
SELECT trial_id, number FROM made"""


@dataclass
class Told:
    """What is told of a trial before it ends.

    Attributes:
        parameters: in Optuna's internal values, by name.
        user: attributes of the user's.
        system: attributes of Optuna's.
        reports: values by step.
    """

    parameters: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)
    system: dict[str, Any] = field(default_factory=dict)
    reports: dict[int, float] = field(default_factory=dict)

    @property
    def is_more_than_parameters(self) -> bool:
        """Whether it holds anything that cannot be left out in silence."""
        return bool(self.user or self.system or self.reports)


class Writes:
    """Writes into the tables of Optuna's storage what that would write.

    Nothing is written of a trial that has ended.

    Args:
        engine: of Optuna's storage.
        writer: this process, in announcements.
    """

    def __init__(self, engine: sqlalchemy.Engine, writer: str) -> None:
        self._engine, self._writer = engine, writer
        self._mark: dict[str, Any] = {"ours": OURS, "mark": json.dumps(writer)}
        self._alone = engine.execution_options(isolation_level="AUTOCOMMIT")

    def told(self, trial: int, told: Told) -> bool:
        """Write what is told of a trial; return whether none of the parameters was there.

        Attributes are on disk then; of parameters and reports alone, the server may lose the last second.
        """
        stored = [_stored(value) for value in told.reports.values()]
        asked: dict[str, Any] = {
            "names": list(told.parameters),
            "values": [float(value) for value, _ in told.parameters.values()],  # of a choice it is an integer
            "distributions": [distribution_to_json(kind) for _, kind in told.parameters.values()],
            "steps": list(told.reports),
            "reported": [value for value, _ in stored],
            "kinds": [kind for _, kind in stored],
        }
        asked |= _columns_of(told.user, told.system)
        durable = bool(told.user or told.system)
        return self._write(_TOLD, trial, durable=durable, **asked) == len(told.parameters)

    def state(self, trial: int, state: TrialState, values: Sequence[float] | None, moment: datetime) -> bool:
        """Let a trial that waits run, as one of this process's, or end one, at a ``moment`` of local time.

        Returns whether there is such a trial that has not ended.
        """
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
        asked |= _columns_of(template.user_attrs, template.system_attrs)
        with self._engine.begin() as connection:
            if not connection.exec_driver_sql(_STUDY, asked).rowcount:
                raise KeyError(f"study {study}")
            made, number = connection.exec_driver_sql(_TRIAL, asked).one()
        return made, number

    def _write(
        self, statement: str, trial: int, durable: bool = True, lock: str = "", **values: Any
    ) -> int | None:
        """Return the number that the statement tells; None if there is no such trial that has not ended.

        ``durable``: it is on disk then; else within a second, or with what is next written so.
        """
        text = f"{_LIVE} {statement}".format(lock=lock, soon="" if durable else _SOON)
        with self._alone.connect() as connection:
            asked = {"trial": trial, "writer": self._writer, **values}
            row = connection.exec_driver_sql(text, asked).first()
            return None if row is None else int(row[0])


def _columns_of(user: Mapping[str, Any], system: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return attributes as the statements of `_attributes_of` take them."""
    columns: dict[str, list[str]] = {}
    for kind, attributes in (("user", user), ("system", system)):
        columns[f"{kind}_keys"] = list(attributes)
        columns[kind] = [json.dumps(value) for value in attributes.values()]
    return columns


def _stored(value: float) -> tuple[float | None, str]:
    """Return a value as Optuna's tables have it: what is not finite is told in words."""
    if value != value:
        return None, "NAN"
    infinite = {float("inf"): "INF_POS", float("-inf"): "INF_NEG"}
    return (None, infinite[value]) if value in infinite else (float(value), "FINITE")


def _utc(moment: datetime) -> datetime:
    """Return a moment of local time as the tables have it: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)
