"""A trial that changes hands goes on from its checkpoint, if the folder it was trained in can be reached."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from nas.files import new_folder
from nas.train.checkpoint import FOLDER

ATTEMPTS = 3


def bring(source: Path | None, target: Path) -> None:
    """Copy a run folder from where another supervisor has kept it; without it the trial begins anew.

    The other one may still be writing there: a copy counts if the checkpoint was not replaced meanwhile.
    """
    if source is None or not source.is_dir() or (target.exists() and source.samefile(target)):
        return
    for _ in range(ATTEMPTS):
        before = _which(source / FOLDER)
        with contextlib.suppress(OSError, shutil.Error, _ReplacedError), new_folder(target) as copy:
            shutil.copytree(source, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
            if _which(source / FOLDER) != before:
                raise _ReplacedError
            return


class _ReplacedError(Exception):
    """The checkpoint was replaced while it was copied."""


def _which(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except FileNotFoundError:
        return None
