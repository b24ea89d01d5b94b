"""A Hugging Face dataset, from the hub or from a folder on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nas.errors import InputError, nearest
from nas.progress import Say
from nas.tasks.corpora.base import Corpus, Document, hash_of

BATCH = 1000


class HubCorpus(Corpus):
    """One column of a Hugging Face dataset, one document per row.

    Args:
        name: a dataset's name on the hub, or a folder: one written by ``Dataset.save_to_disk``,
            or one of text, JSON-lines or Parquet files.
        subset: the dataset's configuration, for instance ``wikitext-2-raw-v1``.
        split: which split to take; validation is divided from it by this package.
        column: the column that holds the text.
        revision: a commit, tag or branch of the dataset, so that a run can be repeated.

    Raises:
        InputError: the extra ``hub`` is not installed, or the dataset, split or column is not
            there; raised when the corpus is read.
    """

    def __init__(
        self,
        name: str,
        subset: str | None = None,
        split: str = "train",
        column: str = "text",
        revision: str | None = None,
    ) -> None:
        self.name = name
        self.subset = subset
        self.split = split
        self.column = column
        self.revision = revision
        self._loaded: Any = None

    def documents(self, say: Say) -> Iterator[Document]:
        """Yield the rows that are not empty, in the dataset's order."""
        rows = self._rows()
        found = False
        for number, text in enumerate(_column(rows, self.column)):
            if not isinstance(text, str | None):
                kind = type(text).__name__
                raise InputError(f"corpus.column={self.column!r} holds {kind}, not text; {_columns(rows)}")
            if text and not text.isspace():
                found = True
                yield Document(f"{self.name}[{number}]", text.encode("utf-8", "replace"))
        if not found:
            raise InputError(f"corpus.name={self.name} has no text in column {self.column!r}")

    def key(self) -> str:
        """Return a hash of the dataset's own fingerprint and of what is taken from it."""
        return hash_of("hub", self._rows()._fingerprint, self.column)

    def _rows(self) -> Any:
        if self._loaded is None:
            rows = self._load()
            if self.column not in rows.column_names:
                raise InputError(
                    f"corpus.column={self.column!r} is not in corpus.name={self.name}; "
                    f"{_columns(rows)}{nearest(self.column, rows.column_names)}"
                )
            self._loaded = rows
        return self._loaded

    def _load(self) -> Any:
        return load_rows("corpus", self.name, self.subset, self.split, self.revision)


def load_rows(key: str, name: str, subset: str | None, split: str, revision: str | None) -> Any:
    """Return one split of a dataset, from the hub or from a folder.

    Args:
        key: the part of the configuration that names it, for messages: ``corpus``.
        name, subset, split, revision: as in `HubCorpus`.

    Raises:
        InputError: the extra ``hub`` is not installed, or the split cannot be loaded.
    """
    datasets = _import_datasets(key)
    folder = Path(name).expanduser()
    try:
        if (folder / "dataset_dict.json").is_file():
            return datasets.load_from_disk(str(folder))[split]
        if (folder / "state.json").is_file():
            return datasets.load_from_disk(str(folder))
        source = str(folder) if folder.is_dir() else name
        return datasets.load_dataset(source, subset, split=split, revision=revision)
    except Exception as error:  # the library raises dozens of kinds, all about the user's names
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{key}.name={name} (subset={subset}, split={split}, "
            f"revision={revision}) could not be loaded: {reason[:300]}"
        ) from error


def _import_datasets(key: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        needs = "corpus=hub" if key == "corpus" else f"{key}.name"
        raise InputError(f"{needs} needs the package `datasets`: pip install 'nas[hub]'") from error
    return datasets


def _column(rows: Any, column: str) -> Iterator[Any]:
    for batch in rows.select_columns([column]).iter(batch_size=BATCH):
        yield from batch[column]


def _columns(rows: Any) -> str:
    return f"its columns are {list(rows.column_names)}"
