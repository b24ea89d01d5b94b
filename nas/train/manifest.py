"""The checksums of a folder's files, by which a truncated or changed one is found out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

FILE = "manifest.json"


def write(folder: Path) -> None:
    """Write ``manifest.json``: the SHA-256 of every file that is in the folder now."""
    sums = {path.name: _sum(path) for path in sorted(folder.iterdir()) if path.name != FILE}
    (folder / FILE).write_text(json.dumps({"sha256": sums}, indent=2) + "\n")


def sums_in(folder: Path) -> dict[str, str]:
    """Return the checksums that the manifest names, unverified.

    Raises:
        OSError: there is none.
        ValueError: it cannot be read.
    """
    try:
        return dict(json.loads((folder / FILE).read_text())["sha256"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{FILE} is not one") from error


def verify(folder: Path) -> None:
    """Compare every file with its checksum.

    Raises:
        OSError: the manifest or a file is missing.
        ValueError: a file is not what it was.
    """
    wrong = [name for name, expected in sums_in(folder).items() if _sum(folder / name) != expected]
    if wrong:
        raise ValueError(f"{' and '.join(wrong)} changed since: other checksums than in {FILE}")


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
