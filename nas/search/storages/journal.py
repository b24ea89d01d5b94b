"""The journal that keeps a study: every trial survives a kill at any moment."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections import deque
from collections.abc import Container, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from nas.errors import InputError
from nas.search.storages.base import Storage
from nas.search.storages.known_studies import KnownStudies
from nas.search.storages.known_trials import KnownTrials


class Journal(Storage):
    """Optuna's journal file, ``journal.log``, in the study's folder."""

    def open(self, folder: Path) -> optuna.storages.BaseStorage:
        """Open the journal after mending what a kill may have left.

        The caller holds the study's lock: no other process writes, so a lock file and a line
        without an end are leftovers of a dead one.

        Raises:
            InputError: the file cannot be read and written, or holds something else.
        """
        path = folder / "journal.log"
        try:
            for leftover in folder.glob("journal.log.*lock*"):
                leftover.unlink()
            _cut_half_line(path)
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666))
            return _Remembering(_SoleWriter(str(path)))
        except OSError as error:
            raise InputError(f"{path} cannot be read and written: {error.strerror}") from error
        except ValueError as error:
            raise InputError(f"{path} is no journal of Optuna: {error}") from error


class _Remembering(optuna.storages.JournalStorage):
    """Optuna's journal, which does not go over ten thousand trials to say that they are still there.

    Args:
        writer: of the file; it knows which trials were changed.
    """

    def __init__(self, writer: _SoleWriter) -> None:
        super().__init__(writer)
        self._writer = writer
        self._known = KnownStudies()
        self._remembering = threading.Lock()

    def get_all_trials(  # type: ignore[override]  # what does the work of a list, and copies less
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> Sequence[FrozenTrial]:
        """Return the trials of a study: those that nobody has changed are the same objects again."""
        if deepcopy:
            return super().get_all_trials(study_id, deepcopy, states)
        with self._remembering:
            self._read_changed()
            if study_id not in self._known:
                found = super().get_all_trials(study_id, deepcopy=False)
                self._known[study_id] = KnownTrials()
                self._add(study_id, found)
            self._add(study_id, self._new(study_id))
            known = self._known[study_id]
            return known.all() if states is None else known.of(states)

    def delete_study(self, study_id: int) -> None:
        """Remove a study with its trials."""
        with self._remembering:
            super().delete_study(study_id)
            self._known.forget(study_id)

    def _read_changed(self) -> None:
        changed, self._writer.changed = self._writer.changed, set()
        for identity in sorted(changed & self._known.study_of.keys()):
            self._known[self._known.study_of[identity]].put(self.get_trial(identity))

    def _new(self, study_id: int) -> Iterator[FrozenTrial]:
        for number in itertools.count(len(self._known[study_id])):
            try:
                identity = self.get_trial_id_from_study_id_trial_number(study_id, number)
            except KeyError:
                return
            yield self.get_trial(identity)

    def _add(self, study_id: int, trials: Iterable[FrozenTrial]) -> None:
        for trial in trials:
            self._known.study_of[trial._trial_id] = study_id
            self._known[study_id].put(trial)


class _SoleWriter(JournalFileBackend):
    """Optuna's journal file for the one process that holds the study's lock: it needs no lock of its own.

    Optuna waits for the disk at every parameter of every trial, a dozen times a trial. Here only the
    end of a trial is waited for: a kill loses nothing that was written, and a power failure no more
    than a trial that runs. And Optuna reads the file's end before every answer: here the lines that
    are new are known, for nobody else writes.

    Attributes:
        changed: ids of the trials that lines were appended about; who reads it empties it.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.changed: set[int] = set()
        self._read: int | None = None
        self._appended: deque[str] = deque()

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Yield the lines from a number on."""
        if log_number_from != self._read:  # what earlier processes wrote
            self._appended.clear()
            self._read, read = None, log_number_from
            for log in super().read_logs(log_number_from):
                read += 1
                yield log
            self._read = read
            return
        while self._appended:
            self._read += 1
            yield json.loads(self._appended.popleft())

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines, all of them or, on a full disk, none."""
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        text = "".join(line + "\n" for line in lines)
        file = os.open(self._file_path, os.O_WRONLY | os.O_APPEND)
        try:
            _write_whole(file, text.encode())
            self._appended.extend(lines)
            self.changed.update(log["trial_id"] for log in logs if "trial_id" in log)
            if any("state" in log for log in logs):
                os.fsync(file)
        finally:
            os.close(file)


def _write_whole(file: int, content: bytes) -> None:
    size = os.fstat(file).st_size
    try:
        while content:
            content = content[os.write(file, content) :]
    except OSError:
        os.ftruncate(file, size)
        raise


def _cut_half_line(path: Path) -> None:
    """Remove a last line that was only begun: the next one would be appended to it and both be lost."""
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
