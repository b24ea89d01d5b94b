"""Where the texts of `classification` come from: files of the user's own, or a hub dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from nas.errors import InputError
from nas.tasks.base import VALIDATION
from nas.tasks.classification import Classification
from nas.tasks.corpora.base import files_key, hash_of
from nas.tasks.generated import TRAINING
from nas.tasks.labelled import Columns, Labelled, read_labelled
from nas.tasks.labelled_hub import LabelledRows
from nas.tasks.tokenizers.base import Tokenizer


class FileClassification(Classification):
    """Labelled texts from a file of tab- or comma-separated columns, or of JSON lines.

    Args:
        path: of the training texts: ``.tsv`` (no quotes), ``.csv`` or ``.jsonl``, UTF-8.
        validation: of the validation texts; null: a part of ``path``, chosen by a hash of the text, so that
            equal texts are on the same side.
        text, text_b, label: columns; ``text_b`` null: one sentence.
        columns: the names of all columns, if the file does not begin with them.
        validation_fraction: the share of ``path`` that is kept for validation, if it is.
        tokenizer, seq_length, lengths, labels, regression, metrics, dropout: see `Classification`.

    Raises:
        InputError: an argument is out of its range.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        path: str,
        validation: str | None = None,
        text: str = "text",
        text_b: str | None = None,
        label: str = "label",
        columns: list[str | int] | None = None,
        validation_fraction: float = 0.1,
        seq_length: int = 128,
        lengths: list[int] | None = None,
        labels: list[str | int] | None = None,
        regression: bool = False,
        metrics: list[str] | None = None,
        dropout: float = 0.1,
    ) -> None:
        if not 0 < validation_fraction < 1:
            raise InputError(f"task.validation_fraction={validation_fraction!r} must be above 0 and below 1")
        measured = metrics or (["pearson"] if regression else ["accuracy", "macro_f1"])
        super().__init__(tokenizer, seq_length, lengths, labels, regression, measured, dropout)
        self.paths = {"task.path": path} | ({"task.validation": validation} if validation else {})
        self.columns = Columns(text, text_b, label, None if columns is None else list(map(str, columns)))
        self.validation_fraction = validation_fraction

    def read(self) -> dict[str, list[Labelled]]:
        """Return the examples of the file or files."""
        read = [read_labelled(key, path, self.columns) for key, path in self.paths.items()]
        if len(read) == 2:
            return {TRAINING: read[0], VALIDATION: read[1]}
        training, validation = divided(read[0], self.validation_fraction)
        if not training or not validation:
            raise InputError(
                f"{read[0][0].place}: {len(read[0])} texts cannot be divided into training and "
                f"task.validation_fraction={self.validation_fraction}; give more, or task.validation"
            )
        return {TRAINING: training, VALIDATION: validation}

    def classed(self, examples: Mapping[str, Sequence[Labelled]]) -> Sequence[Labelled]:
        """Return all of a file that was divided: a rare class may be in its validation part alone."""
        divided_file = "task.validation" not in self.paths
        return [e for part in examples.values() for e in part] if divided_file else examples[TRAINING]

    def source_key(self) -> str:
        """Return a hash of the files' paths, sizes and times."""
        try:
            files = files_key(Path(path).expanduser() for path in self.paths.values())
        except OSError as error:
            told = " ".join(f"{key}={path}" for key, path in self.paths.items())
            raise InputError(f"{told} cannot be read: {error.strerror} (looked in {Path.cwd()})") from error
        return hash_of(files, self.columns.wanted, self.columns.header, self.validation_fraction)


class HubClassification(Classification):
    """Labelled texts of a Hugging Face dataset; needs the extra ``hub``.

    Args:
        name, subset, revision: see `nas.tasks.corpora.hub.HubCorpus`.
        train: the split that is trained on.
        evaluated: what is evaluated, and which split of the dataset it is; ``val`` is among them.
        text, text_b, label: columns; ``text_b`` null: one sentence.
        tokenizer, seq_length, lengths, labels, regression, metrics, dropout: see `Classification`.

    Raises:
        InputError: an argument is out of its range.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        name: str,
        subset: str | None = None,
        revision: str | None = None,
        train: str = "train",
        evaluated: dict[str, str] | None = None,
        text: str = "text",
        text_b: str | None = None,
        label: str = "label",
        seq_length: int = 128,
        lengths: list[int] | None = None,
        labels: list[str | int] | None = None,
        regression: bool = False,
        metrics: list[str] | None = None,
        dropout: float = 0.1,
    ) -> None:
        measured = metrics or (["pearson"] if regression else ["accuracy", "macro_f1"])
        super().__init__(tokenizer, seq_length, lengths, labels, regression, measured, dropout)
        splits = evaluated or {VALIDATION: "validation"}
        if VALIDATION not in splits or TRAINING in splits:
            raise InputError(f"task.evaluated={splits} must have {VALIDATION!r}, and no {TRAINING!r}")
        self.splits = tuple(splits)
        columns = Columns(text, text_b, label)
        sources = {TRAINING: train, **splits}
        self._sources = {s: LabelledRows(name, subset, at, revision, columns) for s, at in sources.items()}

    def read(self) -> dict[str, list[Labelled]]:
        """Return the rows of the dataset's splits."""
        return {split: source.read() for split, source in self._sources.items()}

    def source_key(self) -> str:
        """Return a hash of the dataset's own fingerprints."""
        return hash_of({split: source.key() for split, source in self._sources.items()})


def divided(examples: Sequence[Labelled], fraction: float) -> tuple[list[Labelled], list[Labelled]]:
    """Divide into training and validation by a hash of the texts, whatever their order."""
    hashes = [hashlib.sha256(e.text + b"\0" + (e.text_b or b"")).digest() for e in examples]
    distinct = sorted(set(hashes))
    chosen = set(distinct[: max(1, round(fraction * len(distinct)))])
    parts: tuple[list[Labelled], list[Labelled]] = ([], [])
    for example, digest in zip(examples, hashes, strict=True):
        parts[digest in chosen].append(example)
    return parts
