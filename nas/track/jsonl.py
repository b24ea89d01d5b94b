"""``metrics.jsonl``: one row a line, flushed at once, the truth that every other view is made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

from nas.files import write_text

FILE = "metrics.jsonl"


class MetricsFile:
    """Appends rows to ``metrics.jsonl`` in a run folder.

    Args:
        folder: the run folder.
        from_step: a continued run writes the rows after this step again, so those are cut off; a
            line that a kill left half-written goes too.
    """

    def __init__(self, folder: Path, from_step: int = 0) -> None:
        path = folder / FILE
        kept = [row for row in read_rows(path) if from_step and row.get("step", 0) <= from_step]
        write_text(path, "".join(json.dumps(row) + "\n" for row in kept), durable=bool(kept))
        self._file: IO[str] = path.open("a", encoding="utf-8")

    def write(self, row: dict[str, Any]) -> None:
        """Append one row."""
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the whole rows of a metrics file; a half-written last line is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows
