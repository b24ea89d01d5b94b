"""Folders made once for given settings, and kept: arrays that every process maps into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nas.errors import InputError
from nas.files import exclusive, new_folder, read_json, write_json
from nas.tasks.corpora.base import hash_of

Arrays = dict[str, NDArray[Any]]
META = "meta.json"
PATIENCE = 3600.0  # seconds to wait for another process that makes the same folder
Found = TypeVar("Found")


def made_once(folder: Path, find: Callable[[Path], Found | None], make: Callable[[], None]) -> Found:
    """Return what ``find`` finds in a folder, which is made if it finds nothing.

    Processes that ask at once make it once: the others wait.

    Raises:
        InputError: another process has been making it for an hour.
        OSError: no permission, a full disk, a file that went away.
    """
    if (found := find(folder)) is not None:
        return found
    with exclusive(folder.with_suffix(".lock"), f"{folder} is being made by another process", PATIENCE):
        if (found := find(folder)) is None:
            make()
            found = find(folder)
    assert found is not None, f"{folder} was just made"
    return found


def write_whole(folder: Path, fill: Callable[[Path], None], told: Mapping[str, Any] | None = None) -> None:
    """Have ``fill`` write the files of a folder, which is there once all of them are.

    Args:
        folder: its place.
        fill: writes into a folder.
        told: what else ``meta.json`` says, beside the files' sizes.
    """
    with new_folder(folder) as new:
        fill(new)
        sizes = {path.name: path.stat().st_size for path in new.iterdir()}
        write_json(new / META, {**(told or {}), "files": sizes})


def find_whole(folder: Path, read: Callable[[Path, dict[str, Any]], Found]) -> Found | None:
    """Return what ``read`` makes of a folder and its ``meta.json``; None if it is absent or damaged."""
    try:
        meta = read_json(folder / META)
        if any((folder / name).stat().st_size != size for name, size in meta["files"].items()):
            return None
        return read(folder, meta)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):  # damaged in some way
        return None


def kept_folder(cache: Path, name: str, key: Any) -> Path:
    """Return where `kept_arrays` keeps the arrays of ``key``."""
    return cache / f"{name}-{hash_of(key)[:16]}"


def kept_arrays(
    cache: Path, name: str, key: Any, make: Callable[[], Arrays], also: Callable[[Path], None] | None = None
) -> Arrays:
    """Return the arrays of ``key`` from ``cache``, or make them and keep them there.

    Processes that ask at once make them once: the others wait. A folder that is damaged or half
    written does not count, and is made again.

    Args:
        cache: the folder.
        name: what the arrays are, for people who look there.
        key: JSON-able; all that decides what is made.
        make: makes them.
        also: writes further files into the same folder, afterwards.

    Raises:
        InputError: they cannot be written or read.
    """
    try:
        folder = kept_folder(cache, name, key)
        return made_once(folder, _find, lambda: _write(folder, make(), also))
    except OSError as error:  # no permission, a full disk, a file that went away
        raise InputError(f"task={name} cannot be prepared in {cache}: {error}") from error


def _find(folder: Path) -> Arrays | None:
    def read(folder: Path, meta: dict[str, Any]) -> Arrays:
        arrays = (folder / name for name in meta["files"] if name.endswith(".npy"))
        return {path.stem: np.asarray(np.load(path, mmap_mode="r")) for path in arrays}

    return find_whole(folder, read)


def _write(folder: Path, arrays: Arrays, also: Callable[[Path], None] | None) -> None:
    def fill(new: Path) -> None:
        for name, array in arrays.items():
            np.save(new / f"{name}.npy", array)
        if also is not None:
            also(new)

    write_whole(folder, fill)
