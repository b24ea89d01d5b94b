"""Bytes as tokens: nothing to learn, nothing to go wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from nas.tasks.tokenizers.base import Ids, Tokenizer


class BytesTokenizer(Tokenizer):
    """One token per byte, after the special tokens; the vocabulary has 259 entries."""

    def __init__(self) -> None:
        self.vocab_size = self.specials + 256

    def fit(self, documents: Iterable[bytes]) -> None:
        """Do nothing: the pieces are the 256 bytes."""

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """Map each document to one number per byte."""
        return [
            np.frombuffer(text, np.uint8).astype(np.uint16) + np.uint16(self.specials) for text in documents
        ]

    def pieces(self) -> list[bytes]:
        """Return the empty pieces of the special tokens, then every byte."""
        return [b""] * self.specials + [bytes([byte]) for byte in range(256)]

    def save(self, folder: Path) -> None:
        """Do nothing: there is nothing to keep."""

    def load(self, folder: Path) -> None:
        """Do nothing: there is nothing to take."""
