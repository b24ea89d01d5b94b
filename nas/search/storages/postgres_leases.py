"""Leases in a table of a PostgreSQL server, whose clock alone decides when they end."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from nas.search.storages.leases import Leases, LostTrialError
from nas.search.storages.patient import with_patience
from nas.search.storages.postgres_memory import PostgresMemory
from nas.search.storages.postgres_writes import OURS

if TYPE_CHECKING:
    import sqlalchemy

RENEWALS = 3
"""A lease is renewed so many times before it would end."""

_TABLE = """CREATE TABLE IF NOT EXISTS nas_leases (
    study TEXT, trial INTEGER, owner TEXT NOT NULL, place TEXT NOT NULL, folder TEXT NOT NULL,
    expires TIMESTAMPTZ NOT NULL, PRIMARY KEY (study, trial))"""
# A supervisor itself has a row too, as trial -1, -2, ...
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('nas/' || :study, 0))"
_ROWS = """SELECT trial, owner, place, folder, expires < clock_timestamp() AS free FROM nas_leases
    WHERE study = :study"""
_NEXT = "clock_timestamp() + make_interval(secs => :seconds)"
_TAKE = f"""INSERT INTO nas_leases VALUES (:study, :trial, :owner, :place, :folder, {_NEXT})
    ON CONFLICT (study, trial) DO UPDATE
    SET owner = :owner, place = :place, folder = :folder, expires = {_NEXT}
    WHERE nas_leases.owner = :owner OR nas_leases.expires < clock_timestamp()
    OR nas_leases.place = :place"""
_RENEW = (
    f"UPDATE nas_leases SET expires = {_NEXT} WHERE owner = :owner AND expires > '-infinity' RETURNING trial"
)
_LET_GO = "UPDATE nas_leases SET expires = '-infinity' WHERE owner = :owner AND trial = :trial"
_ENDED = "DELETE FROM nas_leases WHERE study = :study AND trial = ANY(:ended)"
_GONE = """DELETE FROM nas_leases WHERE study = :study AND trial < 0
    AND (owner = :owner OR place = :place OR expires < clock_timestamp())"""
_LEAVE = "UPDATE nas_leases SET expires = '-infinity' WHERE owner = :owner AND trial >= 0"
_OTHERS = """SELECT count(*) FROM nas_leases
    WHERE study = :study AND trial < 0 AND owner <> :owner AND expires > clock_timestamp()"""

Result = TypeVar("Result")


class _Row(NamedTuple):
    trial: int
    owner: str
    place: str
    folder: str
    free: bool


class PostgresLeases(Leases):
    """One row for each trial in some supervisor's hands.

    A turn is a transaction that holds an advisory lock. The server itself ends it, and with it the
    lock, when its supervisor stays silent for as long as a lease lasts; the leases taken in it exist
    only if it ended well.

    Args:
        storage: Optuna's, of the trials.
        memory: what that keeps of them.
        engine: to the server; a turn has one connection.
        study: its name.
        folder: the study's; no other process searches it in this folder.
        seconds: how long a lease lasts.
        patience: seconds to wait for a server that went away.
        name: of the server, for messages.
    """

    def __init__(
        self,
        storage: optuna.storages.BaseStorage,
        memory: PostgresMemory,
        engine: sqlalchemy.Engine,
        study: str,
        folder: Path,
        seconds: float,
        patience: float,
        name: str,
    ) -> None:
        self._storage, self._memory = storage, memory
        self._engine, self._patience, self._name = engine, patience, name
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._seconds = seconds
        self._who = {
            "study": study,
            "owner": uuid.uuid4().hex,
            "place": f"{socket.gethostname()}:{folder.resolve()}",
            "seconds": seconds,
        }
        self._held: set[int] = set()
        self._ended: list[int] = []
        self._rows: dict[int, _Row] = {}
        self._connection: sqlalchemy.Connection | None = None
        self._valid_until = self._due = 0.0
        self._join()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the advisory lock; see `Leases.turn`."""
        import sqlalchemy

        before = set(self._held)
        self._connection = self._patiently(self._begin)
        try:
            with self._memory.sending_if(self._check_turn):
                self._memory.look_anew()
                yield
                self._memory.send()
            self._connection.commit()
        except BaseException as error:
            self._held &= before
            self._connection.invalidate()
            if isinstance(error, sqlalchemy.exc.DBAPIError):  # the server ended the turn, or was away
                raise LostTrialError("the turn was over before it ended") from error
            raise
        finally:
            self._connection.close()
            self._connection = None

    def ask(self, study: optuna.Study, params: Mapping[str, Any], attributes: Mapping[str, Any]) -> Trial:
        """Ask for a trial that is marked from its first moment: a kill never leaves one that nobody owns."""
        marked = {OURS: True, **attributes}
        if not params and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            template = create_trial(state=TrialState.RUNNING, user_attrs=marked)
            study._thread_local.cached_all_trials = None  # as `Study.ask` does: samplers see all trials
            return Trial(study, self._storage.create_new_trial(study._study_id, template))
        study.enqueue_trial(dict(params), user_attrs=marked)
        trial = study.ask()
        self.mark(trial)
        return trial

    def mark(self, trial: Trial) -> None:
        """Mark a trial that the user had put into Optuna's queue."""
        if OURS not in trial.user_attrs:
            trial.set_user_attr(OURS, True)

    def was_taken(self, trial: FrozenTrial) -> bool:
        """Return whether there was a lease, also one that has ended."""
        return trial.number in self._rows

    def is_free(self, trial: FrozenTrial) -> bool:
        """Return whether the lease has ended, or never began since its supervisor was killed before."""
        if self.is_foreign(trial):
            return False
        row = self._rows.get(trial.number)
        return (
            row is None or row.free or (row.place == self._who["place"] and row.owner != self._who["owner"])
        )

    def is_foreign(self, trial: FrozenTrial) -> bool:
        """Return whether the trial lacks the mark of those that were asked for by a supervisor."""
        return OURS not in trial.user_attrs

    def take(self, number: int, folder: Path) -> Path | None:
        """Write a lease that counts once the turn has ended; see `Leases.take`."""
        assert self._connection is not None  # within a turn
        row = self._rows.get(number)
        taken = self._run(self._connection, _TAKE, trial=number, folder=str(folder.resolve()))
        if not taken.rowcount:
            raise LostTrialError(f"trial {number} is in another supervisor's hands")
        self._held.add(number)
        return Path(row.folder) if row is not None else None

    def confirm(self, number: int) -> None:
        """Ask the server only if the lease may have ended by now; see `Leases.confirm`."""
        if _clock() >= self._valid_until:
            self._renew()
        if number not in self._held:
            raise LostTrialError(f"trial {number} is in another supervisor's hands")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send what is told of a trial at the end of the block; see `Leases.together`."""
        with self._memory.together():
            yield
        self._patiently(self._memory.send)

    def let_go(self, number: int) -> None:
        """End the lease now, and keep where the trial was trained."""
        self._held.discard(number)
        self._patiently(lambda: self._alone(_LET_GO, trial=number))

    def end(self, number: int) -> None:
        """Remove the lease with the next turn or renewal."""
        self._held.discard(number)
        self._ended.append(number)

    def renew(self) -> set[int]:
        """Renew after a third of the time; see `Leases.renew`."""
        if _clock() < self._due:
            return set()
        before = set(self._held)
        self._renew()
        return before - self._held

    def others(self) -> int:
        """Return how many other supervisors have renewed lately."""
        return int(self._patiently(lambda: self._alone(_OTHERS))[0][0])

    def leave(self) -> None:
        """End all leases now, so that others need not wait."""
        import sqlalchemy

        try:
            for statement in (_ENDED, _LEAVE, _GONE):
                self._alone(statement, ended=self._ended)
        except sqlalchemy.exc.SQLAlchemyError:
            pass  # the server is away: they end by themselves

    def _join(self) -> None:
        self._patiently(self._make_table)
        with self.turn():
            assert self._connection is not None
            self._run(self._connection, _GONE)
            rows = self._run(self._connection, _ROWS).all()
            taken = {row.trial for row in rows if row.trial < 0}
            self.ordinal = next(n for n in range(len(taken) + 1) if -n - 1 not in taken)
            self._run(self._connection, _TAKE, trial=-self.ordinal - 1, folder="")
        self._renew()

    def _make_table(self) -> None:
        with self._engine.begin() as connection:  # of several at once, one makes it
            self._run(connection, _LOCK, study="tables")
            self._run(connection, _TABLE)

    def _check_turn(self) -> None:
        """Raise if the server has ended the turn: another supervisor may have the trials of it."""
        import sqlalchemy

        assert self._connection is not None
        try:
            self._run(self._connection, "SELECT 1")
        except sqlalchemy.exc.DBAPIError as error:
            raise LostTrialError("the turn was over before it ended") from error

    def _begin(self) -> sqlalchemy.Connection:
        connection = self._engine.connect()
        try:
            self._run(connection, _LOCK)
            if self._ended:
                self._run(connection, _ENDED, ended=self._ended)
            self._rows = {row.trial: _Row(*row) for row in self._run(connection, _ROWS)}
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        self._ended = []
        return connection

    def _renew(self) -> None:
        began = _clock()
        rows = self._patiently(lambda: self._alone(_RENEW))
        self._held &= {trial for (trial,) in rows}
        self._valid_until, self._due = began + self._seconds, began + self._seconds / RENEWALS

    def _alone(self, statement: str, **values: Any) -> list[Any]:
        """Run a statement in a transaction of its own, which takes no more than it, and return its rows."""
        with self._autocommit.connect() as connection:
            result = self._run(connection, statement, **values)
            return list(result.all()) if result.returns_rows else []

    def _run(self, connection: sqlalchemy.Connection, statement: str, **values: Any) -> Any:
        import sqlalchemy

        return connection.execute(sqlalchemy.text(statement), {**self._who, **values})

    def _patiently(self, call: Callable[[], Result]) -> Result:
        return with_patience(call, self._patience, self._name)


def _clock() -> float:
    """Return seconds that also pass while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
