"""Labels of texts, or of pairs of texts: from a file or a hub dataset, for fine-tuning or from nothing."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from nas.errors import InputError, check_choice, check_probability, nearest
from nas.progress import Say
from nas.tasks.base import Answers, Batch, Task
from nas.tasks.buckets import BucketEpochs, bucket_of
from nas.tasks.encoded import EncodedRows, encode_rows
from nas.tasks.generated import TRAINING
from nas.tasks.kept import Arrays, kept_arrays, kept_folder
from nas.tasks.label_scores import LabelScores, NumberScores
from nas.tasks.labelled import Labelled
from nas.tasks.pooled import PooledHead, PooledModel
from nas.tasks.scoring import Scores
from nas.tasks.tokenizers.base import Tokenizer
from nas.tasks.tokenizers.saved import keep_tokenizer

FORMAT = 1  # raise it when what is kept changes
LABEL_MEASURES = ("loss", "accuracy", "f1", "macro_f1", "mcc")
NUMBER_MEASURES = ("loss", "pearson", "spearman")


class Classification(Task):
    """What texts are: their classes, or with ``regression`` a number; a subclass reads them.

    A row is ``[separator] text [separator]``, with a second text and separator where there are two,
    whose type is 1. The encoder's pooled output, that of the first separator, is classified.
    Batches have one of a few lengths, and rows of similar length come together, so that little
    padding is computed; the budget ``trainer.tokens`` counts every row as the longest.

    To fine-tune, the tokenizer must be the one of the pre-training: ``tokenizer=saved
    tokenizer.path=<its run folder>``.

    Args:
        tokenizer: how texts become numbers; one that is not fitted is fitted on the training texts.
        seq_length: T, the most tokens of a row; ends of longer texts are left out.
        lengths: the lengths of batches below T; null: the eighths of T (`nas-bench padding`: 1.2 to 2.3
            times faster than one length; each is compiled by itself, if anything is).
        labels: the classes in their order; null: those of the training texts, sorted.
        regression: labels are numbers.
        metrics: what is measured: ``loss``, ``accuracy``, ``f1``, ``macro_f1``, ``mcc``; of numbers
            ``loss``, ``pearson``, ``spearman``.
        dropout: of the pooled output.

    Raises:
        InputError: an argument is out of its range.
    """

    name: ClassVar[str] = "classification"

    def __init__(
        self,
        tokenizer: Tokenizer,
        seq_length: int,
        lengths: list[int] | None,
        labels: list[str | int] | None,
        regression: bool,
        metrics: list[str],
        dropout: float,
    ) -> None:
        check_probability(**{"task.dropout": dropout})
        for metric in metrics:
            check_choice("task.metrics", metric, NUMBER_MEASURES if regression else LABEL_MEASURES)
        names = None if labels is None else list(map(str, labels))  # a file's 0 and 1 are names too
        if names is not None and (len(set(names)) != len(names) or len(names) < 2 or regression):
            raise InputError(
                f"task.labels={labels} must be two different classes or more, and none for numbers"
            )
        self.measures = tuple(dict.fromkeys(["loss", *metrics]))
        self.tokenizer = tokenizer
        self.vocab_size = tokenizer.vocab_size
        self.seq_length = seq_length
        self.lengths = _checked_lengths(seq_length, lengths)
        self.labels = names
        self.regression = regression
        self.dropout = dropout
        self._rows: dict[str, EncodedRows] = {}

    @abstractmethod
    def read(self) -> dict[str, list[Labelled]]:
        """Return the examples of ``train`` and of every split.

        Raises:
            InputError: they cannot be read.
        """

    def classed(self, examples: Mapping[str, Sequence[Labelled]]) -> Sequence[Labelled]:
        """Return those whose labels are the classes, if ``labels`` does not tell them: of training."""
        return examples[TRAINING]

    @abstractmethod
    def source_key(self) -> str:
        """Return a hash that changes when the examples may have changed."""

    @property
    def num_answers(self) -> int:
        """C, classes; 1 for numbers.

        Raises:
            RuntimeError: they are those of the training texts, which are not read yet.
        """
        if self.regression:
            return 1
        if self.labels is None:
            raise RuntimeError("task.prepare(cache, say) has to be called first")
        return len(self.labels)

    def prepare(self, cache: Path, say: Say) -> None:
        """Make the texts into tokens under ``cache``, or find them there.

        Raises:
            InputError: a file is missing, empty or not text, a column is missing, a label is not known
                from training, or there is only one.
        """
        if self._rows:
            return
        kind = type(self.tokenizer).__qualname__
        settings = [self.seq_length, self.labels, self.regression]
        key = [FORMAT, self.source_key(), kind, self.tokenizer.settings(), settings]
        arrays = kept_arrays(cache, self.name, key, self._encoded, self.tokenizer.save)
        self.tokenizer.load(kept_folder(cache, self.name, key))
        told = json.loads(arrays["told"].tobytes())
        self.labels = self.labels or told["labels"]
        for split in (TRAINING, *self.splits):
            self._rows[split] = EncodedRows.of_arrays(arrays, split, told["pairs"])
        self._epochs = BucketEpochs(self._rows[TRAINING].lengths, "training texts")

    def train_batch(self, step: int, batch_size: int, seed: int) -> Batch:
        """Return ``batch_size`` rows of similar length.

        Raises:
            InputError: there are fewer training texts than a batch has.
        """
        rows = self._encoded_rows(TRAINING)
        return self._batch(rows, self._epochs.rows(step, batch_size, seed))

    def batches(self, split: str, batch_size: int) -> Iterator[Batch]:
        """Yield the rows of a split, in their order."""
        rows = self._encoded_rows(split)
        for start in range(0, len(rows.lengths), batch_size):
            yield self._batch(rows, np.arange(start, min(start + batch_size, len(rows.lengths))))

    def model(self, encoder: nn.Module) -> nn.Module:
        """Return the encoder with a head on its pooled output."""
        return PooledModel(encoder, self.head(encoder))

    def head(self, encoder: nn.Module) -> nn.Module:
        """Return the head; it starts from how often each class occurs, or from the mean of the numbers."""
        labels = torch.from_numpy(self._encoded_rows(TRAINING).labels.copy())
        if self.regression:
            prior = labels.mean()[None]
        else:
            prior = torch.log(torch.bincount(labels, minlength=self.num_answers) + 1.0)
            prior = prior - prior.logsumexp(0)
        width = int(encoder.pooler_layer.out_features)  # type: ignore[union-attr,arg-type]
        return PooledHead(width, prior, self.dropout)

    def loss(self, answers: Answers) -> Tensor:
        """Return the cross-entropy, or the mean squared error of numbers."""
        if self.regression:
            return F.mse_loss(answers.logits[:, 0], answers.labels)
        return super().loss(answers)

    def scores(self) -> Scores:
        """Return scores for classes or for numbers."""
        return NumberScores(self.measures) if self.regression else LabelScores(self.measures)

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the operations of the pooler and the head, averaged over the longest row."""
        answers = 2 if self.labels is None else self.num_answers
        return 2.0 * hidden_size * (hidden_size + answers) / self.seq_length

    def fingerprint(self) -> dict[str, Any]:
        """Return the hashes of the examples and how many there are."""
        counts = {f"{split}_texts": len(rows.lengths) for split, rows in self._rows.items()}
        hashes = {f"{split}_sha256": rows.digest() for split, rows in self._rows.items()}
        return {"labels": self.labels, **counts, **hashes}

    def keep(self, folder: Path) -> None:
        """Write the tokenizer into a run folder."""
        keep_tokenizer(self.tokenizer, folder)

    def _encoded_rows(self, split: str) -> EncodedRows:
        if split not in self._rows:
            raise RuntimeError("task.prepare(cache, say) has to be called first")
        return self._rows[split]

    def _batch(self, rows: EncodedRows, numbers: NDArray[np.int64]) -> Batch:
        length = bucket_of(int(rows.lengths[numbers].max()), self.lengths)
        labels = torch.from_numpy(rows.labels[numbers])
        return Batch(rows.inputs(numbers, length), torch.arange(len(numbers)) * length, labels)

    def _encoded(self) -> Arrays:
        """Read and encode all; what is kept also tells the classes."""
        examples = self.read()
        names = None if self.regression else self.labels or class_names(self.classed(examples))
        texts = (text for e in examples[TRAINING] for text in (e.text, e.text_b) if text is not None)
        self.tokenizer.fit(texts)
        told = {"labels": names, "pairs": examples[TRAINING][0].text_b is not None}
        arrays: Arrays = {"told": np.frombuffer(json.dumps(told).encode(), np.uint8)}
        for split, of_split in examples.items():
            labels = _numbers(of_split) if names is None else _classes(of_split, names)
            arrays |= encode_rows(of_split, labels, self.tokenizer, self.seq_length).arrays(split)
        return arrays


def class_names(examples: Sequence[Labelled]) -> list[str]:
    """Return the classes of the training texts in order: as numbers if they all are.

    Raises:
        InputError: there is only one.
    """
    names = {example.label for example in examples}
    if len(names) < 2:
        raise InputError(
            f"all {len(examples)} training texts have the label {next(iter(names))!r} (first: "
            f"{examples[0].place}); two classes are needed at least"
        )
    if all(name.removeprefix("-").isdecimal() for name in names):
        return sorted(names, key=int)
    return sorted(names)


def _classes(examples: Sequence[Labelled], names: list[str]) -> NDArray[np.int64]:
    numbers = {name: number for number, name in enumerate(names)}
    for example in examples:
        if example.label not in numbers:
            shown = names if len(names) <= 10 else [*names[:10], "..."]
            raise InputError(
                f"{example.place}: label {example.label!r} is none of the classes {shown}"
                f"{nearest(example.label, names)}"
            )
    return np.array([numbers[example.label] for example in examples], np.int64)


def _numbers(examples: Sequence[Labelled]) -> NDArray[np.float32]:
    numbers = np.empty(len(examples), np.float32)
    for index, example in enumerate(examples):
        try:
            numbers[index] = float(example.label)
        except ValueError:
            numbers[index] = np.nan
        if not np.isfinite(numbers[index]):
            raise InputError(
                f"{example.place}: label {example.label!r} is not a number (task.regression=true)"
            )
    return numbers


def _checked_lengths(seq_length: int, lengths: list[int] | None) -> list[int]:
    given = [-(-seq_length * eighth // 8) for eighth in range(1, 8)] if lengths is None else lengths
    if seq_length < 4:
        raise InputError(f"task.seq_length={seq_length} must be at least 4")
    if any(not 0 < length <= seq_length for length in given):
        raise InputError(f"task.lengths={lengths} must be above 0 and at most task.seq_length={seq_length}")
    return sorted({*given, seq_length})
