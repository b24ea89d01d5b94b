"""The tokenizer of an earlier run, so that its encoder can be used for another task."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nas.errors import InputError
from nas.files import new_folder, read_json, write_json
from nas.tasks.tokenizers.base import Ids, Tokenizer
from nas.tasks.tokenizers.bpe import FILE, BPETokenizer
from nas.tasks.tokenizers.bytes import BytesTokenizer

FOLDER = "tokenizer"
KIND = "kind.json"
KINDS: dict[str, type[Tokenizer]] = {"bytes": BytesTokenizer, "bpe": BPETokenizer}


class SavedTokenizer(Tokenizer):
    """A tokenizer as a run left it; it is not fitted again, whatever the text.

    Args:
        path: a run folder, the folder ``tokenizer`` in it, or a ``tokenizer.json`` (byte-pair
            encoding) of this package.

    Raises:
        InputError: there is no tokenizer, or none of this package.
    """

    def __init__(self, path: str) -> None:
        self.inner = read_tokenizer(Path(path).expanduser(), str(path))
        self.vocab_size = self.inner.vocab_size

    def settings(self) -> dict[str, Any]:
        """Return a hash of what it does, wherever it is."""
        pieces = b"".join(len(piece).to_bytes(4, "little") + piece for piece in self.pieces())
        return {"kind": _name_of(self.inner), "pieces": hashlib.sha256(pieces).hexdigest()}

    def fit(self, documents: Iterable[bytes]) -> None:
        """Do nothing: it is fitted."""

    def encode(self, documents: Sequence[bytes]) -> list[Ids]:
        """Map each document to token numbers."""
        return self.inner.encode(documents)

    def pieces(self) -> list[bytes]:
        """Return the bytes of each token."""
        return self.inner.pieces()

    def save(self, folder: Path) -> None:
        """Write what the earlier run learned."""
        self.inner.save(folder)

    def load(self, folder: Path) -> None:
        """Do nothing: it is loaded."""


def keep_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write ``<folder>/tokenizer``, for `SavedTokenizer`; one of a foreign class is not kept."""
    inner = tokenizer.inner if isinstance(tokenizer, SavedTokenizer) else tokenizer
    if (name := _name_of(inner)) is None:
        return
    with new_folder(folder / FOLDER) as new:
        inner.save(new)
        write_json(new / KIND, {"kind": name, "config": inner.config}, durable=False)


def read_tokenizer(path: Path, told: str) -> Tokenizer:
    """Return what `keep_tokenizer` kept.

    Args:
        path: see `SavedTokenizer`.
        told: how the user wrote it.

    Raises:
        InputError: there is no tokenizer, or none of this package.
    """
    found = path / FOLDER if (path / FOLDER).is_dir() else path
    try:
        if (found / KIND).is_file():
            kept = read_json(found / KIND)
            tokenizer = KINDS[kept["kind"]](**kept["config"])
            tokenizer.load(found)
            tokenizer.pieces()
            return tokenizer
        if found.is_file():
            return BPETokenizer.from_file(found)
    except InputError:
        raise
    except Exception as error:  # the library's errors have no class of their own
        reason = " ".join(str(error).split()) or type(error).__name__
        mistake = f"tokenizer.path={told} holds no tokenizer of this package: {reason[:200]}"
        raise InputError(mistake) from error
    raise InputError(
        f"tokenizer.path={told} holds no tokenizer: expected a run folder with {FOLDER}/{KIND}, or a {FILE}"
    )


def _name_of(tokenizer: Tokenizer) -> str | None:
    return next((name for name, kind in KINDS.items() if type(tokenizer) is kind), None)
