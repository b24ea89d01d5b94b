"""Texts with labels, and the files that they come from: TSV, CSV and JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import InputError, nearest
from nas.tasks.corpora.base import is_text

SUFFIXES = (".tsv", ".csv", ".jsonl")
LONGEST_FIELD = 1 << 24


@dataclass(frozen=True)
class Labelled:
    """One text, or two, and its label as it was written.

    Attributes:
        text: UTF-8.
        text_b: the second sentence; None where there is one only.
        label: the name of a class, or a number.
        place: where it is, for messages: ``reviews.tsv line 7``.
    """

    text: bytes
    text_b: bytes | None
    label: str
    place: str


@dataclass(frozen=True)
class Columns:
    """Which columns hold what.

    Attributes:
        text, text_b, label: names of columns; ``text_b`` None: one sentence.
        header: names of all columns, if the file does not begin with them.
    """

    text: str
    text_b: str | None
    label: str
    header: list[str] | None = None

    @property
    def wanted(self) -> dict[str, str]:
        """The setting and the column it names."""
        named = {"task.text": self.text, "task.text_b": self.text_b, "task.label": self.label}
        return {key: column for key, column in named.items() if column is not None}


def read_labelled(key: str, path: str, columns: Columns) -> list[Labelled]:
    """Read a file of labelled texts; TSV is read as it is, CSV with quotes.

    Args:
        key: the setting that names the file, for messages: ``task.path``.
        path: of a ``.tsv``, ``.csv`` or ``.jsonl`` file in UTF-8.
        columns: which of its columns to take.

    Raises:
        InputError: there is no such file, it is empty or not text, a column is missing, or a line is broken.
    """
    found = Path(path).expanduser()
    told = f"{key}={path}"
    if found.suffix.lower() not in SUFFIXES:
        raise InputError(f"{told} must end in one of {list(SUFFIXES)}")
    text = _text_of(found, told)
    rows = (
        _json_rows(text, told)
        if found.suffix.lower() == ".jsonl"
        else _table_rows(text, found, told, columns)
    )
    examples = [_example(row, number, told, columns) for number, row in rows]
    if not examples:
        raise InputError(f"{told} has no row under its header")
    return examples


def missing_columns(told: str, columns: Columns, there: Iterable[str]) -> list[str]:
    """Say which columns are not there."""
    names = list(there)
    return [
        f"{key}={column!r} is no column of {told}, which has {names}{nearest(column, names)}"
        for key, column in columns.wanted.items()
        if column not in names
    ]


def _text_of(path: Path, told: str) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{told} cannot be read: {error.strerror} (looked in {Path.cwd()})") from error
    if not data.strip():
        raise InputError(f"{told} is empty; expected labelled texts")
    if not is_text(data):
        raise InputError(f"{told} is not text; expected UTF-8")
    return data.decode("utf-8-sig")


def _table_rows(text: str, path: Path, told: str, columns: Columns) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(LONGEST_FIELD)
    tabs = path.suffix.lower() == ".tsv"
    style: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {"strict": True}
    lines = csv.reader(io.StringIO(text, newline=""), **style)
    try:
        header = columns.header or next(lines)
        if mistakes := missing_columns(told, columns, header):
            raise InputError(*mistakes)
        for fields in lines:
            if len(fields) != len(header) and fields:
                raise InputError(
                    f"{told} line {lines.line_num} has {len(fields)} columns, not {len(header)}: {header}"
                )
            if fields:
                yield lines.line_num, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise InputError(f"{told} line {lines.line_num} cannot be read: {error}") from error


def _json_rows(text: str, told: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):  # not at U+2028, which a JSON text may hold
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{told} line {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise InputError(f"{told} line {number} is not a JSON object")
        yield number, row


def _example(row: dict[str, Any], number: int, told: str, columns: Columns) -> Labelled:
    place = f"{told} line {number}"
    if mistakes := missing_columns(place, columns, row):
        raise InputError(*mistakes)
    texts = {key: row[column] for key, column in columns.wanted.items() if key != "task.label"}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise InputError(f"{place}: {key} holds {type(text).__name__}, not text")
    encoded = [text.encode("utf-8", "replace") for text in texts.values()]
    label = row[columns.label]
    if isinstance(label, list | dict | None) or not str(label).strip():
        raise InputError(f"{place} has no label in column {columns.label!r}")
    return Labelled(encoded[0], encoded[1] if columns.text_b is not None else None, str(label).strip(), place)
