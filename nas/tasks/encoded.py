"""Labelled texts as numbers: rows of tokens of different lengths, end to end, and their labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.tasks.kept import Arrays
from nas.tasks.labelled import Labelled
from nas.tasks.tokenizers.base import Tokenizer

Ids = NDArray[Any]


@dataclass(frozen=True)
class EncodedRows:
    """Some rows ``[sep] text [sep]`` or ``[sep] text [sep] text_b [sep]``.

    Attributes:
        tokens: of all rows.
        starts: [N + 1], where each row begins, and the end.
        firsts: [N], tokens of a row that belong to its first sentence.
        labels: [N], numbers of classes, or numbers.
        pairs: whether there are two sentences.
    """

    tokens: Ids
    starts: Ids
    firsts: Ids
    labels: Ids
    pairs: bool

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row [N]."""
        return np.diff(self.starts)

    def arrays(self, split: str) -> Arrays:
        """Return what is kept on disk."""
        return {
            f"{split}.tokens": self.tokens,
            f"{split}.starts": self.starts,
            f"{split}.firsts": self.firsts,
            f"{split}.labels": self.labels,
        }

    def digest(self) -> str:
        """Return a hash of all that is in the rows, wherever they came from."""
        found = hashlib.sha256()
        for name, array in self.arrays("").items():
            found.update(f"{name} {array.dtype} {array.shape} ".encode())
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()

    @classmethod
    def of_arrays(cls, arrays: Arrays, split: str, pairs: bool) -> EncodedRows:
        """Return what `arrays` gave."""
        tokens, starts, firsts, labels = (
            arrays[f"{split}.{p}"] for p in ("tokens", "starts", "firsts", "labels")
        )
        return cls(tokens, starts, firsts, labels, pairs)

    def inputs(self, rows: NDArray[np.int64], length: int) -> dict[str, Tensor]:
        """Return an encoder's inputs [B, length], padded."""
        places = np.arange(length)
        real = places < self.lengths[rows][:, None]
        flat = np.minimum(self.starts[rows][:, None] + places, len(self.tokens) - 1)
        tokens = np.where(real, self.tokens[flat], Tokenizer.pad).astype(np.int64)
        inputs = {"input_word_ids": tokens, "input_mask": real.astype(np.int64)}
        if self.pairs:
            second = (places >= self.firsts[rows][:, None]) & real
            inputs["input_type_ids"] = second.astype(np.int64)
        return {name: torch.from_numpy(value) for name, value in inputs.items()}


def encode_rows(
    examples: Sequence[Labelled], labels: Ids, tokenizer: Tokenizer, seq_length: int
) -> EncodedRows:
    """Encode labelled texts; of texts that are too long, the ends are left out.

    Args:
        examples: all with a second sentence, or none.
        labels: [N].
        tokenizer: fitted.
        seq_length: T, the most tokens of a row.
    """
    pairs = examples[0].text_b is not None
    first = tokenizer.encode([example.text for example in examples])
    second = tokenizer.encode([example.text_b or b"" for example in examples]) if pairs else []
    end = np.array([tokenizer.separator], np.int64)
    parts: list[Ids] = []
    lengths, firsts = np.zeros(len(examples), np.int64), np.zeros(len(examples), np.int64)
    for number, a in enumerate(first):
        b = second[number] if pairs else None
        a, b = _cut(a, b, seq_length)
        row = [end, a, end] if b is None else [end, a, end, b, end]
        parts += row
        lengths[number], firsts[number] = sum(map(len, row)), len(a) + 2
    tokens = np.concatenate(parts).astype(np.min_scalar_type(tokenizer.vocab_size - 1))
    return EncodedRows(tokens, np.concatenate([[0], np.cumsum(lengths)]), firsts, labels, pairs)


def _cut(a: Ids, b: Ids | None, seq_length: int) -> tuple[Ids, Ids | None]:
    """Shorten the texts to what fits beside the separators, the longer one of two first."""
    if b is None:
        return a[: seq_length - 2], None
    room = seq_length - 3
    of_b = min(len(b), max(room // 2, room - len(a)))
    return a[: room - of_b], b[:of_b]
