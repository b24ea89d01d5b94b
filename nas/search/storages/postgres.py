"""A PostgreSQL server that keeps studies for several machines, and may be restarted under them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from nas.errors import InputError, check_positive
from nas.search.storages.base import Storage
from nas.search.storages.leases import Leases
from nas.search.storages.patient import first_line, patient
from nas.search.storages.postgres_leases import PostgresLeases
from nas.search.storages.postgres_memory import PostgresMemory
from nas.search.storages.postgres_ping import ping_idle

if TYPE_CHECKING:
    import sqlalchemy

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
CONNECT_SECONDS = 5
OPENING_SECONDS = 60.0
"""Who opens the storage keeps others from it, if stopped there, for so long; slow machines take seconds."""


class Postgres(Storage):
    """Optuna's relational storage on PostgreSQL, which waits for a server that went away.

    Args:
        url: ``postgresql://user@host:port/database``; a password in it is not shown, but better kept
            in ``~/.pgpass`` or ``PGPASSWORD``, which PostgreSQL's client reads by itself.
        patience: seconds to wait for a server that went away before a search gives up.
        lease_seconds: a supervisor that is silent for so long loses its trials to others.

    Raises:
        InputError: the address is not one of PostgreSQL, or the extra ``postgres`` is missing.
    """

    def __init__(self, url: str, patience: float = 60.0, lease_seconds: float = 30.0) -> None:
        check_positive(**{"storage.patience": patience, "storage.lease_seconds": lease_seconds})
        self.patience, self.lease_seconds = patience, lease_seconds
        self._url = _parsed(url)
        self._engines: list[sqlalchemy.Engine] = []
        self._opened: optuna.storages.BaseStorage | None = None

    def open(self, folder: Path) -> optuna.storages.BaseStorage:
        """Connect, and make the tables if they are not there.

        Raises:
            InputError: nobody answers, or the database cannot be read and written.
        """
        try:
            storage = self._one_after_another()
        except Exception as error:  # the driver, SQLAlchemy and Optuna each have their own
            raise self._unusable(error) from error
        self._engines.append(storage.engine)
        self._check_writable(storage)
        try:
            self._memory = PostgresMemory(storage)
        except Exception as error:  # the driver and SQLAlchemy each have their own
            raise self._unusable(error) from error
        self._opened = patient(self._memory, self.patience, str(self._url))
        return self._opened

    def _one_after_another(self) -> optuna.storages.RDBStorage:
        """Open Optuna's storage while no other process does: two that make its tables at once both fail."""
        import sqlalchemy

        waiting = self._connection(max(OPENING_SECONDS, self.lease_seconds))
        engine = sqlalchemy.create_engine(
            self._address(), poolclass=sqlalchemy.pool.NullPool, connect_args=waiting
        )
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(hashtextextended('nas', 0))"))
            settings = {"connect_args": self._connection(self.lease_seconds)}
            storage = optuna.storages.RDBStorage(self._address(), engine_kwargs=settings)
        ping_idle(storage.engine)
        return storage

    def leases(self, study: str, folder: Path) -> Leases:
        """Join those that search the study, here and on other machines; see `Storage.leases`."""
        import sqlalchemy

        settings = self._connection(self.lease_seconds)
        engine = sqlalchemy.create_engine(self._address(), pool_size=1, connect_args=settings)
        ping_idle(engine)
        self._engines.append(engine)
        assert self._opened is not None  # see `Storage.leases`
        return PostgresLeases(
            self._opened,
            self._memory,
            engine,
            study,
            folder,
            self.lease_seconds,
            self.patience,
            str(self._url),
        )

    def close(self) -> None:
        """Let all connections go."""
        for engine in self._engines:
            engine.dispose()

    def _unusable(self, error: Exception) -> InputError:
        return InputError(f"storage.url={self._url} cannot be used: {first_line(error)}")

    def _check_writable(self, storage: optuna.storages.RDBStorage) -> None:
        import sqlalchemy

        probe = sqlalchemy.text(
            "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool"
        )
        tables = sqlalchemy.text("SELECT has_table_privilege('trials', 'INSERT')")
        with storage.engine.connect() as connection:
            read_only = connection.execute(probe).scalar_one()
            if read_only or not connection.execute(tables).scalar_one():
                raise InputError(f"storage.url={self._url} is read-only for this user: a search must write")

    def _address(self) -> str:
        return self._url.render_as_string(hide_password=False)

    def _connection(self, idle_seconds: float) -> dict[str, Any]:
        # Who is stopped within a transaction would hold its locks for ever: the server ends it.
        idle = f"-c idle_in_transaction_session_timeout={int(1000 * idle_seconds)}"
        given = self._url.query.get("options", "")
        options = " ".join([*([given] if isinstance(given, str) else given), idle])
        return {"connect_timeout": CONNECT_SECONDS, "application_name": "nas", "options": options}


def _parsed(url: str) -> sqlalchemy.URL:
    try:
        import psycopg  # noqa: F401
        import sqlalchemy
    except ImportError:
        raise InputError("storage=postgres needs the extra: pip install 'nas[postgres]'") from None
    try:
        parsed = sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername not in SCHEMES or not parsed.database:
        raise InputError(f"storage.url={url!r} must be of the form postgresql://user@host:5432/database")
    return parsed.set(drivername="postgresql+psycopg")
