"""The contract of a corpus: documents in a fixed order, and a cheap identity that changes with them."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.configured import Configured
from nas.progress import Say


@dataclass(frozen=True)
class Document:
    """One text that is never divided between training and validation.

    Attributes:
        name: what the document is called in messages; no result depends on it.
        text: its bytes, UTF-8.
    """

    name: str
    text: bytes


class Corpus(Configured, ABC):
    """A source of documents."""

    @abstractmethod
    def documents(self, say: Say) -> Iterator[Document]:
        """Yield every document that is not empty, in a fixed order.

        Args:
            say: told, in one line, what was left out because it is not text.

        Raises:
            InputError: the source is missing, empty or not text.
        """

    @abstractmethod
    def key(self) -> str:
        """Return a hash that changes when the documents may have changed, without reading them.

        Raises:
            InputError: the source is missing.
        """


def hash_of(*parts: Any) -> str:
    """Return the SHA-256 (hexadecimal) of JSON-able parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def files_key(paths: Iterable[Path]) -> str:
    """Hash what the system knows about files: path, size, and the times of the last changes.

    The time of the last status change cannot be set back, so a file that was replaced by one of
    the same size and date is noticed too.
    """
    manifest = []
    for path in paths:
        status = path.stat()
        manifest.append((str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return hash_of(manifest)


def is_text(data: bytes) -> bool:
    """Tell whether ``data`` is UTF-8 without NUL bytes."""
    if b"\0" in data:
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
