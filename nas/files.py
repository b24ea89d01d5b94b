"""Files that are either whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from nas.errors import InputError


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Write ``text`` to ``path`` so that a reader sees the old file or the new one, never half.

    Args:
        path: the file.
        text: all of it.
        durable: wait until it is on the disk. Without it a kill costs nothing, a power failure
            perhaps the file: enough for views that are made again from other files.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any, durable: bool = True) -> None:
    """Write ``value`` as indented JSON, whole or not at all; NaN and infinity become null."""
    write_text(path, json.dumps(_finite(value), indent=2, allow_nan=False) + "\n", durable)


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that takes ``path``'s place when the block ends without error.

    Nobody else may write ``path`` meanwhile: what others left half made was left by a kill, and goes.
    A kill between the two renames leaves ``path`` under the name ``<path>.old``;
    `settled_folder` finds it there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    old = path.with_name(f"{path.name}.old")
    for left_over in path.parent.glob(f".{path.name}.*"):
        shutil.rmtree(left_over, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
            path.replace(old)
        temporary.replace(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def settled_folder(path: Path) -> Path | None:
    """Return the newest whole folder that `new_folder` left for ``path``, or None."""
    for candidate in (path, path.with_name(f"{path.name}.old")):
        if candidate.is_dir():
            return candidate
    return None


@contextlib.contextmanager
def exclusive(path: Path, busy: str, patience: float = 0.0) -> Iterator[None]:
    """Hold a lock file that the system frees when the process ends, however it ends.

    Args:
        path: the lock file; it is made, and stays.
        busy: what to tell the user when another process holds it.
        patience: seconds to wait for the other process.

    Raises:
        InputError: another process holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        _lock(file, busy, time.monotonic() + patience)
        yield


def _lock(file: IO[str], busy: str, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise InputError(busy) from None
            time.sleep(0.1)
