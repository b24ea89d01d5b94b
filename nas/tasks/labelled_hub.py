"""Labelled texts of a Hugging Face dataset, from the hub or from a folder."""

from __future__ import annotations

from typing import Any

from nas.errors import InputError
from nas.tasks.corpora.base import hash_of
from nas.tasks.corpora.hub import load_rows
from nas.tasks.labelled import Columns, Labelled, missing_columns


class LabelledRows:
    """One split of a dataset; it is loaded when it is first needed.

    Args:
        name, subset, revision: see `nas.tasks.corpora.hub.HubCorpus`.
        split: such as ``train``.
        columns: which columns to take.
    """

    def __init__(
        self, name: str, subset: str | None, split: str, revision: str | None, columns: Columns
    ) -> None:
        self._source = (name, subset, split, revision)
        self._columns = columns
        self._loaded: Any = None

    def key(self) -> str:
        """Return a hash of the dataset's own fingerprint and of what is taken from it."""
        return hash_of("hub", self._rows()._fingerprint, self._columns.wanted)

    def read(self) -> list[Labelled]:
        """Return the rows in the dataset's order.

        Raises:
            InputError: the dataset, the split or a column is not there, or a row has no label.
        """
        rows, columns = self._rows(), self._columns
        names = getattr(rows.features[columns.label], "names", None)
        told = f"task.name={self._source[0]} split {self._source[2]}"
        taken = rows.select_columns(list(columns.wanted.values()))
        return [_example(row, f"{told} row {n}", columns, names) for n, row in enumerate(taken)]

    def _rows(self) -> Any:
        if self._loaded is None:
            name, subset, split, revision = self._source
            rows = load_rows("task", name, subset, split, revision)
            if mistakes := missing_columns(f"task.name={name}", self._columns, rows.column_names):
                raise InputError(*mistakes)
            self._loaded = rows
        return self._loaded


def _example(row: dict[str, Any], place: str, columns: Columns, names: list[str] | None) -> Labelled:
    texts = [row[column] for key, column in columns.wanted.items() if key != "task.label"]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{place}: {columns.text!r} holds no text")
    label = row[columns.label]
    if label is None or (names is not None and label == -1):  # how the hub marks hidden labels
        raise InputError(f"{place} has no label; is it a test set? use another split")
    encoded = [text.encode("utf-8", "replace") for text in texts]
    named = names[label] if names is not None else str(label)
    return Labelled(encoded[0], encoded[1] if columns.text_b is not None else None, named, place)
