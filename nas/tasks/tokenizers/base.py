"""The contract of a tokenizer: three special tokens first, then pieces of bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nas.configured import Configured

Ids = NDArray[np.integer]


class Tokenizer(Configured, ABC):
    """Maps text (bytes) to token numbers; ``decode(encode(text)) == text`` for any bytes.

    A tokenizer is fitted on the training text, or loaded from a folder where it was saved; the
    size of its vocabulary is known before. Numbers below ``specials`` never stand for text.
    """

    pad: ClassVar[int] = 0
    separator: ClassVar[int] = 1
    """Stands after every document."""
    mask: ClassVar[int] = 2
    specials: ClassVar[int] = 3
    """How many special tokens there are: ordinary tokens are [specials, vocab_size)."""

    vocab_size: int

    @abstractmethod
    def fit(self, documents: Iterable[bytes]) -> None:
        """Learn the pieces from the training text; the same text gives the same pieces."""

    @abstractmethod
    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """Map each document to its token numbers, without special tokens."""

    @abstractmethod
    def pieces(self) -> list[bytes]:
        """Return the bytes that each token stands for; special and unused tokens stand for none."""

    def settings(self) -> dict[str, Any]:
        """Return what identifies it, beside its class and the text that it is fitted on; JSON-able."""
        return self.config

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what was learned into a folder."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Take what `save` wrote."""

    def decode(self, ids: Iterable[int]) -> bytes:
        """Map token numbers to the bytes they stand for."""
        pieces = self.pieces()
        return b"".join(pieces[i] for i in ids)
