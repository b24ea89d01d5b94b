"""Studies of Optuna in an SQLite file, for reading: of a user's own script, or of another tool."""

from __future__ import annotations

import logging
import shlex
import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import optuna

from nas.configured import Configured
from nas.errors import InputError, nearest
from nas.search.storages.patient import first_line

FOR_READING = (
    "storage=sqlite is for reading studies that Optuna has kept in a file (nas-report study=old.db): "
    "search with storage=journal, or storage=postgres for several machines"
)
PREFIX = "sqlite:///"
"""How Optuna names such a file: it may be given so, too."""
PATIENCE = 30.0
"""Seconds to wait for a process that holds the file locked while it writes."""
_MAGIC = b"SQLite format 3\0"
_WAL = 2
"""The number in a file's header that says: what was written last stands in a file beside it."""


class SQLite(Configured):
    """An SQLite file that is never written: what is read is a copy of it, as it stands at one moment.

    A copy also mends what a killed process has left, and has its tables brought to the form of the
    Optuna that is installed, if an older one has made them.

    Args:
        path: of the file; null: ``study`` is.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = path

    @contextmanager
    def study(self, name: str | None) -> Iterator[optuna.Study]:
        """Yield a study, as long as the block lasts.

        Args:
            name: of the study; None: the only one.

        Raises:
            InputError: there is no such file, it holds no studies that can be read, or not this one.
        """
        path = file_of(self.path or "")
        if not path.is_file():
            raise InputError(f"storage.path={str(path)!r}: there is no such file")
        with tempfile.TemporaryDirectory(prefix="nas-") as folder:
            copy = Path(folder) / "copy.db"
            try:
                _copy(path, copy)
                found = _tables(copy)
            except (sqlite3.Error, OSError) as error:
                raise InputError(f"storage.path={str(path)!r} cannot be read: {error}") from error
            if not {"studies", "trials"} <= found:
                raise InputError(f"storage.path={str(path)!r} holds no studies of Optuna")
            storage = _opened(copy, path)
            try:
                yield optuna.load_study(study_name=_chosen(storage, name, path), storage=storage)
            finally:
                storage.remove_session()
                storage.engine.dispose()


def file_of(text: str) -> Path:
    """Return the file that a path, or an address as Optuna has them, names."""
    return Path(text.removeprefix(PREFIX)).expanduser()


def _copy(path: Path, copy: Path) -> None:
    """Copy a database as it stands at one moment, whoever else is at it.

    Where nobody can be, its files are copied as they are: SQLite itself would have to write beside them.
    """
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(_MAGIC):
        raise sqlite3.DatabaseError("it is not an SQLite file")
    alone = header[18] == _WAL and not path.with_name(f"{path.name}-shm").exists()
    if alone or not _snapshot(path, copy):
        for end in ("", "-wal", "-journal"):
            beside = path.with_name(f"{path.name}{end}")
            if beside.is_file():
                shutil.copyfile(beside, copy.with_name(f"{copy.name}{end}"))


def _snapshot(path: Path, copy: Path) -> bool:
    """Copy a database through SQLite; return False if a killed process has left it half written."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE)) as source:
        try:
            with closing(sqlite3.connect(copy)) as target:
                source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # waits for a writer
                source.backup(target)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
                copy.unlink(missing_ok=True)
                return False
            raise
    return True


def _tables(copy: Path) -> set[str]:
    with closing(sqlite3.connect(copy)) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master")}


def _opened(copy: Path, path: Path) -> optuna.storages.RDBStorage:
    """Open a copy, its tables brought to the form of this Optuna."""
    address = f"{PREFIX}{copy}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Optuna's of its own past
            return _upgraded(address)
    except Exception as error:  # SQLAlchemy, Alembic and Optuna each have their own
        raise InputError(
            f"storage.path={str(path)!r} holds tables that Optuna {optuna.__version__} cannot read: "
            f"{first_line(error)}"
        ) from error


def _upgraded(address: str) -> optuna.storages.RDBStorage:
    storage = optuna.storages.RDBStorage(address, skip_compatibility_check=True)
    if storage.get_current_version() != storage.get_head_version():
        logging.disable(logging.WARNING)  # Alembic tells of every step
        try:
            storage.upgrade()
        finally:
            logging.disable(logging.NOTSET)
        storage.remove_session()
        storage.engine.dispose()
        storage = optuna.storages.RDBStorage(address)
    return storage


def _chosen(storage: optuna.storages.BaseStorage, name: str | None, path: Path) -> str:
    names = optuna.get_all_study_names(storage)
    if name in names:
        return str(name)
    if name is None and len(names) == 1:
        return names[0]
    if not names:
        raise InputError(f"storage.path={str(path)!r} holds no studies of Optuna")
    if name is None:
        raise InputError(
            f"{path} holds several studies, {names}: choose one, "
            f"such as study={shlex.quote(names[0])} storage=sqlite storage.path={shlex.quote(str(path))}"
        )
    raise InputError(f"study={name!r} is not one of {names} in {path}{nearest(name, names)}")
