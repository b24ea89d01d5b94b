"""Byte-pair encoding, trained on the training text in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.errors import InputError
from nas.files import write_text
from nas.tasks.tokenizers.base import Ids, Tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Model

FILE = "tokenizer.json"


class BPETokenizer(Tokenizer):
    """Byte-level BPE (Sennrich et al. 2016, arXiv 1508.07909; GPT-2's bytes and word boundaries).

    The special tokens are not part of the learned model, so text that happens to contain their
    names stays text. Bytes that are not UTF-8 become one token each.

    Args:
        vocab_size: V, with the special tokens. Text that yields fewer pieces leaves the rest unused.

    Raises:
        InputError: ``vocab_size`` has no room for the 256 bytes and the special tokens.
    """

    def __init__(self, vocab_size: int = 2048) -> None:
        smallest = self.specials + 256
        if vocab_size < smallest:
            raise InputError(
                f"tokenizer.vocab_size={vocab_size} must be at least {smallest}: "
                f"256 bytes and {self.specials} special tokens"
            )
        self.vocab_size = vocab_size
        self._model: Model | None = None
        self._pieces: list[bytes] = []
        self._folder: Path | None = None

    def fit(self, documents: Iterable[bytes]) -> None:
        """Learn the merges; ties are broken by number, so the same text gives the same merges."""
        from tokenizers import Tokenizer as Model
        from tokenizers import decoders, models, pre_tokenizers, trainers

        model = Model(models.BPE())
        model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        model.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size - self.specials,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        texts = (run.decode() for text in documents for run, valid in _runs(text) if valid)
        model.train_from_iterator(texts, trainer)
        self._use(model)

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """Map each document to token numbers."""
        runs = [list(_runs(text)) for text in documents]
        model = self._fitted()
        texts = [run.decode() for document in runs for run, valid in document if valid]
        encoded = iter(model.encode_batch_fast(texts, add_special_tokens=False))
        byte_ids = self._byte_ids(model)
        return [
            _joined(
                [next(encoded).ids if valid else [byte_ids[byte] for byte in run] for run, valid in document],
                self.specials,
            )
            for document in runs
        ]

    def pieces(self) -> list[bytes]:
        """Return the bytes of each token."""
        self._fitted()
        return self._pieces

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json``, as the `tokenizers` library reads it (without special tokens)."""
        write_text(folder / FILE, self._fitted().to_str())

    def load(self, folder: Path) -> None:
        """Take the ``tokenizer.json`` of a folder; it is read when it is first needed."""
        self._folder = folder
        self._model = None

    @classmethod
    def from_file(cls, path: Path) -> BPETokenizer:
        """Return the tokenizer of a file as `save` writes it; its vocabulary has no unused entries."""
        from tokenizers import Tokenizer as Model

        model = Model.from_file(str(path))
        tokenizer = cls(cls.specials + model.get_vocab_size())
        tokenizer._use(model)
        return tokenizer

    def _fitted(self) -> Model:
        if self._model is None:
            if self._folder is None:
                raise RuntimeError("the tokenizer is neither fitted nor loaded: call task.prepare first")
            from tokenizers import Tokenizer as Model

            self._use(Model.from_file(str(self._folder / FILE)))
        assert self._model is not None
        return self._model

    def _use(self, model: Model) -> None:
        unprintable = {char: byte for byte, char in enumerate(_byte_characters())}
        pieces = [b""] * self.vocab_size
        for token, number in model.get_vocab().items():
            pieces[self.specials + number] = bytes(unprintable[char] for char in token)
        self._model, self._pieces = model, pieces

    @staticmethod
    def _byte_ids(model: Any) -> list[int]:
        return [model.token_to_id(char) for char in _byte_characters()]


def _joined(parts: list[list[int]], offset: int) -> Ids:
    ids = [number for part in parts for number in part] if len(parts) != 1 else parts[0]
    return np.asarray(ids, np.uint32) + np.uint32(offset)


def _runs(text: bytes) -> Iterator[tuple[bytes, bool]]:
    """Divide bytes into runs that are UTF-8 (True) and runs that are not (False)."""
    while text:
        try:
            text.decode()
        except UnicodeDecodeError as error:
            if error.start:
                yield text[: error.start], True
            yield text[error.start : error.end], False
            text = text[error.end :]
        else:
            yield text, True
            return


def _byte_characters() -> list[str]:
    """Return the character that byte-level BPE writes for each byte: itself if it can be printed."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]
