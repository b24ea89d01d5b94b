"""Text made into tokens once, kept in a folder that every process maps into memory."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import InputError
from nas.progress import Say, console, quantity
from nas.progress import say as say_in_terminal
from nas.tasks.corpora.base import Corpus, hash_of
from nas.tasks.kept import find_whole, made_once, write_whole
from nas.tasks.split import split_documents
from nas.tasks.tokenizers.base import Tokenizer

FORMAT = 1  # raise it when what is written changes: older folders are then left alone
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class PreparedText:
    """Two streams of tokens, mapped from files; a separator follows every document.

    Attributes:
        train: [N] the training documents' tokens.
        validation: [N'] the validation documents' tokens.
        counts: [V] how often each token occurs in the training text.
        token_bytes: [V] how many bytes each token stands for.
        meta: hashes and sizes, for the run's provenance.
    """

    train: NDArray[Any]
    validation: NDArray[Any]
    counts: NDArray[np.int64]
    token_bytes: NDArray[np.int64]
    meta: dict[str, Any]


def prepare_text(
    corpus: Corpus, tokenizer: Tokenizer, validation_fraction: float, cache: Path, say: Say
) -> PreparedText:
    """Find the prepared text under ``cache``, or make it; the tokenizer is fitted afterwards.

    Processes that ask at once make it once: the others wait. A folder that is damaged or half
    written does not count, and is made again.

    Raises:
        InputError: the corpus is missing, empty, not text or too small, or cannot be written.
    """
    try:
        folder = cache / _key(corpus, tokenizer, validation_fraction)
        prepared = made_once(
            folder,
            lambda folder: find_whole(folder, _read),
            lambda: _make(folder, corpus, tokenizer, validation_fraction, say),
        )
    except OSError as error:  # no permission, a full disk, a file that went away
        raise InputError(f"the corpus cannot be prepared in {cache}: {error}") from error
    tokenizer.load(folder)
    return prepared


def _key(corpus: Corpus, tokenizer: Tokenizer, validation_fraction: float) -> str:
    kind = f"{type(tokenizer).__module__}.{type(tokenizer).__qualname__}"
    return hash_of(FORMAT, corpus.key(), kind, tokenizer.settings(), validation_fraction)[:16]


def _read(folder: Path, meta: dict[str, Any]) -> PreparedText:
    return PreparedText(
        np.asarray(np.load(folder / "train.npy", mmap_mode="r")),
        np.asarray(np.load(folder / "validation.npy", mmap_mode="r")),
        np.load(folder / "counts.npy"),
        np.load(folder / "token_bytes.npy"),
        meta,
    )


def _make(folder: Path, corpus: Corpus, tokenizer: Tokenizer, validation_fraction: float, say: Say) -> None:
    started = time.monotonic()
    documents = [document.text for document in corpus.documents(say)]
    if _key(corpus, tokenizer, validation_fraction) != folder.name:
        raise InputError("the corpus changed while it was read; start again")
    size = sum(map(len, documents))
    plural = "" if len(documents) == 1 else "s"
    say(f"preparing corpus: {quantity(size)}B, {len(documents)} document{plural} ...")
    split = split_documents(documents, validation_fraction)
    tokenizer.fit(split.training)
    train = _stream(split.training, tokenizer, say)
    validation = _stream(split.validation, tokenizer, say)
    meta = {
        "corpus_sha256": split.sha256,
        "tokenizer_sha256": _pieces_hash(tokenizer.pieces()),
        "vocab_size": tokenizer.vocab_size,
        "bytes": size,
        "documents": len(documents),
        "duplicates": split.duplicates,
        **_counts("train", split.training, train),
        **_counts("validation", split.validation, validation),
    }
    _write(folder, tokenizer, train, validation, meta)
    say(
        f"prepared in {time.monotonic() - started:.1f} s: {quantity(len(train))} training and "
        f"{quantity(len(validation))} validation tokens"
    )


def _write(
    folder: Path, tokenizer: Tokenizer, train: NDArray[Any], validation: NDArray[Any], meta: dict[str, Any]
) -> None:
    def fill(new: Path) -> None:
        np.save(new / "train.npy", train)
        np.save(new / "validation.npy", validation)
        np.save(new / "counts.npy", np.bincount(train, minlength=tokenizer.vocab_size))
        np.save(new / "token_bytes.npy", np.array([len(piece) for piece in tokenizer.pieces()], np.int64))
        tokenizer.save(new)

    write_whole(folder, fill, meta)


def _counts(part: str, texts: list[bytes], tokens: NDArray[Any]) -> dict[str, int]:
    return {
        f"{part}_documents": len(texts),
        f"{part}_bytes": sum(map(len, texts)),
        f"{part}_tokens": len(tokens),
    }


def _stream(texts: list[bytes], tokenizer: Tokenizer, say: Say) -> NDArray[Any]:
    dtype = np.min_scalar_type(tokenizer.vocab_size - 1)
    end = np.array([tokenizer.separator], dtype)
    parts: list[NDArray[Any]] = []
    for chunk in _shown(list(_chunks(texts)), say):
        for ids in tokenizer.encode(chunk):
            parts += [ids.astype(dtype), end]
    return np.concatenate(parts)


def _chunks(texts: Iterable[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for text in texts:
        chunk.append(text)
        size += len(text)
        if size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _shown(chunks: list[list[bytes]], say: Say) -> Iterable[list[bytes]]:
    if say is not say_in_terminal or not console().is_terminal:
        return chunks
    from rich.progress import track

    return track(chunks, "tokens", console=console(), transient=True)


def _pieces_hash(pieces: list[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(4, "little") + piece)
    return digest.hexdigest()
