"""Which trials were changed by other processes: each change is announced by the statement that makes it."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import sqlalchemy

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('nas/tables', 0))"
_TABLE = """CREATE TABLE IF NOT EXISTS nas_changes (
    trial INTEGER, writer TEXT, changed BIGINT NOT NULL, PRIMARY KEY (trial, writer))"""
_INDEX = "CREATE INDEX IF NOT EXISTS nas_changes_changed ON nas_changes (changed)"
# A database that was restored on another server counts transactions anew: these have not been yet.
_FOREIGN = "DELETE FROM nas_changes WHERE changed >= txid_snapshot_xmax(txid_current_snapshot())"
# Transactions end in another order than they begin: new is what the last look could not see.
_SINCE = """SELECT txid_snapshot_xmin(txid_current_snapshot()), txid_current_snapshot()::text,
    EXISTS (SELECT FROM nas_changes WHERE trial = -1 AND changed > :horizon),
    EXISTS (SELECT FROM studies WHERE study_id = :study),
    ARRAY(SELECT trial FROM nas_changes WHERE changed >= :horizon AND writer <> :writer AND trial >= 0
        AND NOT txid_visible_in_snapshot(changed, CAST(:snapshot AS txid_snapshot))),
    ARRAY(SELECT trial_id FROM trials WHERE study_id = :study AND trial_id > :last ORDER BY trial_id)"""
# Trial -1 says before which transaction announcements may be gone. Nobody waits for a lock of another one.
_CLEAN = """WITH alone AS (SELECT pg_try_advisory_xact_lock(hashtextextended('nas/changes', 0)) AS mine),
old AS (SELECT trial, writer FROM nas_changes, alone
    WHERE mine AND trial >= 0 AND changed < :horizon FOR UPDATE OF nas_changes SKIP LOCKED),
gone AS (DELETE FROM nas_changes USING old
    WHERE nas_changes.trial = old.trial AND nas_changes.writer = old.writer)
INSERT INTO nas_changes SELECT -1, '', :horizon FROM alone WHERE mine
    ON CONFLICT (trial, writer) DO UPDATE SET changed = greatest(nas_changes.changed, excluded.changed)"""
_UNFINISHED = """SELECT count(*) FROM trials
    WHERE study_id = :study AND trial_id <= :last AND state IN ('RUNNING', 'WAITING')"""
_ENDED = """SELECT trial_id FROM trials
    WHERE trial_id = ANY(:trials) AND state NOT IN ('RUNNING', 'WAITING')"""
_NEVER = 2**63 - 1
CLEAN_SECONDS = 300.0
"""Announcements that are older are removed, so often; who has not looked for so long reads anew."""


class News(NamedTuple):
    """What the server tells at a look.

    Attributes:
        unknown: a connection was lost, and the server may have died, or announcements were missed: what
            was known of trials that have not ended does not count.
        exists: whether there is such a study.
        changed: ids of trials that others have changed since the last look, of whatever study.
        new: ids of the study's new trials, in order.
    """

    unknown: bool
    exists: bool
    changed: set[int]
    new: list[int]


class Changes:
    """Learns of what other processes change.

    Args:
        engine: of Optuna's storage.
        writer: this process, in announcements.
    """

    def __init__(self, engine: sqlalchemy.Engine, writer: str) -> None:
        import sqlalchemy

        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writer = writer
        self._horizon, self._snapshot, self._unknown = _NEVER, "1:1:", True
        self._cleaned, self._old = time.monotonic(), 0
        self._text = sqlalchemy.text
        with engine.begin() as connection:  # of several at once, one makes it
            for statement in (_LOCK, _TABLE, _INDEX, _FOREIGN):
                connection.execute(sqlalchemy.text(statement))
        sqlalchemy.event.listen(engine, "connect", self._forget)

    def since(self, study: int, last: int) -> News:
        """Return what has changed since the last call.

        Args:
            study: whose new trials are looked for.
            last: the greatest id of those that are known.
        """
        self._clean()
        asked = {"horizon": self._horizon, "snapshot": self._snapshot, "writer": self._writer}
        [row] = self._ask(_SINCE, **asked, study=study, last=last)
        horizon, snapshot, missed, exists, changed, new = row
        news = News(self._unknown or missed, exists, set(changed), new)
        self._horizon, self._snapshot, self._unknown = horizon, snapshot, False
        return news

    def _clean(self) -> None:
        """Remove now and then what was announced before a look that is long ago."""
        if time.monotonic() < self._cleaned + CLEAN_SECONDS:
            return
        with self._engine.connect() as connection:
            connection.execute(self._text(_CLEAN), {"horizon": self._old})
        self._cleaned, self._old = time.monotonic(), 0 if self._unknown else self._horizon

    def ended(self, study: int, last: int, unfinished: Collection[int]) -> list[int]:
        """Return which of the trials of a study that are known as unfinished have ended.

        Args:
            study: its id.
            last: the greatest id of its trials that are known.
            unfinished: ids of all that are known as such: they are sent only if there are fewer by now.
        """
        [(count,)] = self._ask(_UNFINISHED, study=study, last=last)
        if count == len(unfinished):
            return []
        return [trial for (trial,) in self._ask(_ENDED, trials=list(unfinished))]

    def _ask(self, statement: str, **values: Any) -> list[Any]:
        with self._engine.connect() as connection:
            return list(connection.execute(self._text(statement), values))

    def _forget(self, *_: Any) -> None:
        """Trust nothing after a connection was made anew: a server that died counts transactions again."""
        self._unknown = True
