"""Multi-query associative recall: look up, by content, what was paired with a key."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

Ids = NDArray[np.int64]
Examples = tuple[NDArray[Any], ...]
BLANK = 0


class MultiQueryAssociativeRecall(Task):
    """Zoology's MQAR (Arora et al. 2024, arXiv 2312.04927) as a masked task.

    A row begins with ``num_pairs`` pairs of a key from [1, V/2) and a value from [V/2, V), all
    different. The rest is slots of two tokens. Each key comes once more, in a slot drawn without
    replacement with probability proportional to (slot + 1) ** (power - 1), followed by the mask
    token, where its value is asked for. Other slots are blank, as in the published settings.

    Differences: there, the value is predicted at the key, left to right; here at a mask token
    after it, from both sides. Results are not comparable with the causal table. The defaults are
    small enough for a CPU; the published ones are V 8192, T 64/128/256 with 4/8/16 pairs, 100,000
    training and 3,000 test examples.

    Args:
        vocab_size: V, blank, keys and values; the task's own ``vocab_size`` has the mask token too.
        seq_length: T, tokens in a row, even.
        num_pairs: keys in a row, and questions about them.
        power: a, the exponent of the law by which questions prefer early slots.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: how many rows are evaluated.

    Raises:
        InputError: the settings leave no room for the pairs; all reasons are named.
    """

    name = "mqar"

    def __init__(
        self,
        vocab_size: int = 64,
        seq_length: int = 32,
        num_pairs: int = 4,
        power: float = 0.01,
        train_examples: int | None = None,
        validation_examples: int = 1024,
    ) -> None:
        mistakes = _mistakes(vocab_size, seq_length, num_pairs, power, train_examples, validation_examples)
        if mistakes:
            raise InputError(*mistakes)
        self._rows = RecallRows(vocab_size, seq_length, num_pairs, power)
        self.vocab_size = vocab_size + 1
        self.seq_length = seq_length
        self.num_pairs = num_pairs
        self.train_examples = train_examples
        self.validation_examples = validation_examples
        self._epochs = Epochs(train_examples or 0, "task.train_examples")

    def prepare(self, cache: Path, say: Say) -> None:
        """Do nothing: rows are made when they are needed."""

    def train_batch(self, step: int, batch_size: int, seed: int) -> Batch:
        """Return ``batch_size`` rows, new ones or from the fixed set of ``train_examples``.

        Raises:
            InputError: the fixed set is smaller than a batch.
        """
        if self.train_examples is None:
            return self._batch(self._rows.draw(generator(seed, "mqar", step), batch_size))
        numbers = self._epochs.rows(step, batch_size, seed)
        train_set = fixed_set(self._rows, "train", self.train_examples)
        return self._batch(tuple(part[numbers] for part in train_set))

    def validation_batches(self, batch_size: int) -> Iterator[Batch]:
        """Yield the validation rows, the same ones for every seed and batch size."""
        validation_set = fixed_set(self._rows, "validation", self.validation_examples)
        for start in range(0, self.validation_examples, batch_size):
            yield self._batch(tuple(part[start : start + batch_size] for part in validation_set))

    def head(self, encoder: nn.Module) -> nn.Module:
        """Return a head that shares the encoder's embedding table."""
        return TokenHead(encoder, self.vocab_size)

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the operations of projecting the asked tokens, averaged over all tokens."""
        return TokenHead.flops(hidden_size, self.vocab_size) * self.num_pairs / self.seq_length

    def fingerprint(self) -> dict[str, Any]:
        """Return the settings: they and the seed determine every row."""
        return {"generator": "mqar-1", **self.config}

    def _batch(self, examples: Examples) -> Batch:
        tokens, positions, labels = (part.astype(np.int64) for part in examples)
        flat = positions + np.arange(len(tokens))[:, None] * self.seq_length
        return Batch(
            {"input_word_ids": torch.from_numpy(tokens)},
            torch.from_numpy(flat.ravel()),
            torch.from_numpy(labels.ravel()),
        )


@dataclass(frozen=True)
class RecallRows:
    """How one row is drawn; the arguments are the task's."""

    vocab_size: int
    seq_length: int
    num_pairs: int
    power: float

    @property
    def mask(self) -> int:
        """The token that asks: the first after blank, keys and values."""
        return self.vocab_size

    def draw(self, rng: np.random.Generator, rows: int) -> Examples:
        """Return tokens [rows, T], the asked positions [rows, num_pairs] in order, and their labels."""
        half, prefix = self.vocab_size // 2, 2 * self.num_pairs
        keys = 1 + distinct(rng, rows, self.num_pairs, half - 1)
        values = half + distinct(rng, rows, self.num_pairs, self.vocab_size - half)
        queries = prefix + 2 * self._slots(rng, rows)
        tokens = np.full((rows, self.seq_length), BLANK, np.int64)
        tokens[:, 0:prefix:2] = keys
        tokens[:, 1:prefix:2] = values
        np.put_along_axis(tokens, queries, keys, axis=1)
        np.put_along_axis(tokens, queries + 1, self.mask, axis=1)
        order = np.argsort(queries, axis=1)
        positions = np.take_along_axis(queries + 1, order, axis=1)
        return tokens, positions, np.take_along_axis(values, order, axis=1)

    def _slots(self, rng: np.random.Generator, rows: int) -> Ids:
        """Draw a slot for each key: Gumbel noise makes the draw without replacement one sort."""
        slots = (self.seq_length - 2 * self.num_pairs) // 2
        log_weight = (self.power - 1) * np.log(np.arange(1, slots + 1))
        order = np.argsort(-(log_weight + rng.gumbel(size=(rows, slots))), axis=1)
        return order[:, : self.num_pairs]


@functools.lru_cache(maxsize=4)
def fixed_set(rows: RecallRows, split: str, count: int) -> Examples:
    """Return ``count`` rows that depend on no seed, in small integers; kept for the process's next task."""
    dtype = np.min_scalar_type(max(rows.mask, rows.seq_length))
    tokens, positions, labels = rows.draw(generator(0, "mqar", split), count)
    return tokens.astype(dtype), positions.astype(dtype), labels.astype(dtype)


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


def _mistakes(
    vocab_size: int,
    seq_length: int,
    num_pairs: int,
    power: float,
    train_examples: int | None,
    validation_examples: int,
) -> list[str]:
    positive = {
        "vocab_size": vocab_size,
        "seq_length": seq_length,
        "num_pairs": num_pairs,
        "power": power,
        "train_examples": 1 if train_examples is None else train_examples,
        "validation_examples": validation_examples,
    }
    mistakes = [f"task.{key}={value} must be greater than 0" for key, value in positive.items() if value <= 0]
    if seq_length % 2:
        mistakes.append(f"task.seq_length={seq_length} must be even: questions take two tokens")
    if num_pairs * 4 > seq_length:
        mistakes.append(
            f"task.num_pairs={num_pairs} needs task.seq_length of at least {4 * num_pairs} "
            f"(two tokens for each pair, two for each question), not {seq_length}"
        )
    if vocab_size // 2 - 1 < num_pairs:
        mistakes.append(
            f"task.vocab_size={vocab_size} has {max(0, vocab_size // 2 - 1)} keys, fewer than "
            f"task.num_pairs={num_pairs}; use at least {2 * num_pairs + 2}"
        )
    return mistakes
