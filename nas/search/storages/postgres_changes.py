"""Which trials were changed by other processes: each change is announced by the statement that makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import sqlalchemy

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('nas/tables', 0))"
_TABLE = """CREATE TABLE IF NOT EXISTS nas_changes (
    trial INTEGER, writer TEXT, changed BIGINT NOT NULL, PRIMARY KEY (trial, writer))"""
_INDEX = "CREATE INDEX IF NOT EXISTS nas_changes_changed ON nas_changes (changed)"
# Transactions end in another order than they begin: all since the oldest that is open is looked at again.
_SINCE = """SELECT txid_snapshot_xmin(txid_current_snapshot()),
    ARRAY(SELECT ARRAY[trial, changed] FROM nas_changes WHERE changed >= :horizon AND writer <> :writer),
    ARRAY(SELECT trial_id FROM trials WHERE study_id = :study AND trial_id > :last ORDER BY trial_id)"""
_ENDED = """SELECT trial_id FROM trials
    WHERE trial_id = ANY(:trials) AND state NOT IN ('RUNNING', 'WAITING')"""
_NEVER = 2**63 - 1


class News(NamedTuple):
    """What the server tells at a look.

    Attributes:
        unknown: a connection was lost, and the server may have died: what was known of trials that have
            not ended does not count.
        changed: ids of trials that others have changed since the last look, of whatever study.
        new: ids of the study's new trials, in order.
    """

    unknown: bool
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
        self._horizon, self._unknown = _NEVER, True
        self._seen: set[tuple[int, int]] = set()
        self._text = sqlalchemy.text
        with engine.begin() as connection:  # of several at once, one makes it
            for statement in (_LOCK, _TABLE, _INDEX):
                connection.execute(sqlalchemy.text(statement))
        sqlalchemy.event.listen(engine, "connect", self._forget)

    def since(self, study: int, last: int) -> News:
        """Return what has changed since the last call.

        Args:
            study: whose new trials are looked for.
            last: the greatest id of those that are known.
        """
        asked = {"horizon": self._horizon, "writer": self._writer, "study": study, "last": last}
        [(horizon, rows, new)] = self._ask(_SINCE, **asked)
        seen = {(trial, changed) for trial, changed in rows}
        changed = {trial for trial, _ in seen - self._seen}
        news = News(self._unknown, changed, new)
        self._horizon, self._seen, self._unknown = horizon, seen, False
        return news

    def ended(self, trials: list[int]) -> list[int]:
        """Return those of the trials that have ended."""
        return [trial for (trial,) in self._ask(_ENDED, trials=trials)]

    def _ask(self, statement: str, **values: Any) -> list[Any]:
        with self._engine.connect() as connection:
            return list(connection.execute(self._text(statement), values))

    def _forget(self, *_: Any) -> None:
        """Trust nothing after a connection was made anew: a server that died counts transactions again."""
        self._unknown = True
