"""Tasks whose rows are made by a seeded generator, in every step anew or as a fixed set."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nas.errors import InputError
from nas.heads import TokenHead
from nas.progress import Say
from nas.seeding import generator
from nas.tasks.base import Batch, Task
from nas.tasks.epochs import Epochs
from nas.tasks.kept import kept_arrays

Ids = NDArray[Any]
TRAINING = "train"


@dataclass(frozen=True)
class Rows:
    """Some rows of a generated task.

    Attributes:
        tokens: [B, T] integers.
        asked: [B, A] integers, the places of a row that are scored, ascending.
        labels: [B, A] integers, the right answers; `nas.tasks.scoring.IGNORED` where nothing is asked.
        mask: [B, T], 1 where a token is real; None where all are.
    """

    tokens: Ids
    asked: Ids
    labels: Ids
    mask: Ids | None = None

    def take(self, numbers: Any) -> Rows:
        """Return some of the rows: an index array or a slice."""
        return Rows(*(None if part is None else part[numbers] for part in self._parts()))  # type: ignore[arg-type]

    def arrays(self) -> dict[str, Ids]:
        """Return the parts that are there, in the smallest integers that hold them."""
        names = (f.name for f in fields(self))
        return {n: small(p) for n, p in zip(names, self._parts(), strict=True) if p is not None}

    def _parts(self) -> tuple[Ids | None, ...]:
        return (self.tokens, self.asked, self.labels, self.mask)


class GeneratedTask(Task):
    """A task of which every row comes from `draw`; a subclass says what a row is.

    Sets that are fixed (the splits, and with ``train_examples`` the training set) are made once, and
    kept under the cache folder by a hash of the settings; new rows are made while training.

    Args:
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: rows in each split.
        mistakes: what a subclass found wrong with its own settings.

    Raises:
        InputError: a number is not positive, or there are mistakes; all are told together.
    """

    version: ClassVar[int] = 1
    """Raise it when the same settings make other rows."""

    def __init__(
        self,
        train_examples: int | None = None,
        validation_examples: int = 1024,
        mistakes: Sequence[str] = (),
    ) -> None:
        counts = {"train_examples": train_examples, "validation_examples": validation_examples}
        wrong = {key: count for key, count in counts.items() if count is not None and count <= 0}
        mistakes = [
            *mistakes,
            *(f"task.{key}={count} must be greater than 0" for key, count in wrong.items()),
        ]
        if mistakes:
            raise InputError(*mistakes)
        self.train_examples = train_examples
        self.validation_examples = validation_examples
        self._epochs = Epochs(train_examples or 0, "task.train_examples")
        self._kept: dict[str, Rows] = {}

    @abstractmethod
    def draw(self, rng: np.random.Generator, count: int, split: str) -> Rows:
        """Make ``count`` rows of a split (``train``, ``val``, or one out of distribution), vectorised."""

    def prepare(self, cache: Path, say: Say) -> None:
        """Make the fixed sets, or find them under ``cache``.

        Raises:
            InputError: they cannot be written.
        """
        if self._kept:
            return
        counts = dict.fromkeys(self.splits, self.validation_examples)
        if self.train_examples is not None:
            counts[TRAINING] = self.train_examples
        for split, count in counts.items():
            # the seed is the task's own: every run is judged by the same rows
            made = lambda s=split, n=count: self.draw(generator(0, self.name, s), n, s).arrays()  # noqa: E731
            key = [self.name, self.version, self._settings(), split, count]
            self._kept[split] = Rows(**kept_arrays(cache, self.name, key, made))

    def train_batch(self, step: int, batch_size: int, seed: int) -> Batch:
        """Return ``batch_size`` rows, new ones or from the fixed set of ``train_examples``.

        Raises:
            InputError: the fixed set is smaller than a batch.
        """
        if self.train_examples is None:
            return self.batch(self.draw(generator(seed, self.name, step), batch_size, TRAINING))
        return self.batch(self._fixed(TRAINING).take(self._epochs.rows(step, batch_size, seed)))

    def batches(self, split: str, batch_size: int) -> Iterator[Batch]:
        """Yield the rows of a split, the same ones for every seed and batch size."""
        rows = self._fixed(split)
        for start in range(0, len(rows.tokens), batch_size):
            yield self.batch(rows.take(slice(start, start + batch_size)))

    def batch(self, rows: Rows) -> Batch:
        """Return rows as tensors."""
        tokens = rows.tokens.astype(np.int64)
        flat = rows.asked.astype(np.int64) + np.arange(len(tokens))[:, None] * tokens.shape[1]
        inputs = {"input_word_ids": torch.from_numpy(tokens)}
        if rows.mask is not None:
            inputs["input_mask"] = torch.from_numpy(rows.mask.astype(np.int64))
        labels = torch.from_numpy(rows.labels.astype(np.int64).ravel())
        return Batch(inputs, torch.from_numpy(flat.ravel()), labels, even=True)

    def head(self, encoder: nn.Module) -> nn.Module:
        """Return a head that shares the encoder's embedding table."""
        return TokenHead(encoder, self.vocab_size)

    def fingerprint(self) -> dict[str, Any]:
        """Return the settings: they and the seed determine every row."""
        return {"generator": f"{self.name}-{self.version}", **self.config}

    def _fixed(self, split: str) -> Rows:
        if split not in self._kept:
            raise RuntimeError("task.prepare(cache, say) has to be called first")
        return self._kept[split]

    def _settings(self) -> dict[str, Any]:
        counts = ("train_examples", "validation_examples")
        return {key: value for key, value in self.config.items() if key not in counts}


def small(numbers: Ids) -> Ids:
    """Return integers in the smallest type that holds them all."""
    least, most = (int(numbers.min()), int(numbers.max())) if numbers.size else (0, 0)
    kinds = (np.uint8, np.int16, np.int32, np.int64)
    fitting = next(k for k in kinds if np.iinfo(k).min <= least and most <= np.iinfo(k).max)
    return numbers.astype(fitting)


def distinct(rng: np.random.Generator, rows: int, count: int, size: int) -> Ids:
    """Draw ``count`` different numbers below ``size`` for each row, in random order: [rows, count].

    Floyd's algorithm over all rows at once: the cost does not grow with ``size``.
    """
    drawn = np.empty((rows, count), np.int64)
    for i, top in enumerate(range(size - count, size)):
        new = rng.integers(0, top + 1, rows)
        taken = (drawn[:, :i] == new[:, None]).any(axis=1)
        drawn[:, i] = np.where(taken, top, new)
    return rng.permuted(drawn, axis=1)
