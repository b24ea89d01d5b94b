"""The journal that keeps a study: every trial survives a kill at any moment."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from nas.configured import Configured


class Journal(Configured):
    """Optuna's journal file, ``journal.log``, in the study's folder."""

    def open(self, folder: Path) -> optuna.storages.BaseStorage:
        """Open the journal after mending what a kill may have left.

        Call it only while holding the study's lock: then no other process writes, so a lock file
        and a line without an end are leftovers of a dead one.
        """
        path = folder / "journal.log"
        for leftover in folder.glob("journal.log.*lock*"):
            leftover.unlink()
        _cut_half_line(path)
        lock = JournalFileOpenLock(str(path))
        return optuna.storages.JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def _cut_half_line(path: Path) -> None:
    """Remove a last line that was only begun: the next one would be appended to it and both be lost."""
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
