"""The Python sources and documentation of the running interpreter: real text without a download."""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from nas.errors import InputError, check_positive
from nas.progress import Say
from nas.tasks.corpora.base import Corpus, Document, files_key, hash_of, is_text

SUFFIXES = (".py", ".rst", ".txt")
TESTS = frozenset({"test", "tests", "idle_test"})
VENDORED = frozenset({"site-packages", "dist-packages", "_vendor", "_bundled"})
TABLES = frozenset({"encodings", "html/entities.py"})  # generated tables of characters, not text
MACHINE = ("config-", "_sysconfigdata", "sitecustomize", ".", "__pycache__")  # differs between machines


class StdlibCorpus(Corpus):
    """The standard library of the interpreter that runs this, one document per file.

    Left out: tests, installed and vendored packages, generated character tables, and files that
    describe the machine. The text differs between Python versions; the run's provenance holds its
    hash.

    Args:
        max_bytes: about how much to take; null takes all (about 11 MB). Files are chosen by a hash of their
            name, so that the choice is spread over the library and the same on every machine.

    Raises:
        InputError: ``max_bytes`` is not positive, or this interpreter has no source files.
    """

    def __init__(self, max_bytes: int | None = 8_000_000) -> None:
        if max_bytes is not None:
            check_positive(**{"corpus.max_bytes": max_bytes})
        self.max_bytes = max_bytes

    def documents(self, say: Say) -> Iterator[Document]:
        """Yield the chosen files, ordered by name."""
        root = library_folder()
        for name, path in self._files(root):
            text = path.read_bytes()
            if text and is_text(text):  # a few files are in other encodings, on purpose
                yield Document(name, text)

    def key(self) -> str:
        """Return a hash of the chosen files' paths, sizes and times."""
        return hash_of("stdlib", files_key(path for _, path in self._files(library_folder())))

    def _files(self, root: Path) -> list[tuple[str, Path]]:
        files = list(source_files(root))
        if not files:
            raise InputError(
                f"corpus=stdlib found no Python sources in {root}; use corpus=text corpus.path=<your text>"
            )
        return files if self.max_bytes is None else sorted(_sample(files, self.max_bytes))


def library_folder() -> Path:
    """Return the folder of the standard library, the same inside and outside a virtual environment."""
    return Path(sysconfig.get_path("stdlib"))


def source_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name relative to ``root``, path) of the sources and texts below, ordered by name."""
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(d for d in folders if _wanted(d, here / d, root))
        for file in sorted(files):
            path = here / file
            if file.endswith(SUFFIXES) and _wanted(file, path, root) and path.is_file():
                yield path.relative_to(root).as_posix(), path


def _wanted(name: str, path: Path, root: Path) -> bool:
    if name in TESTS or name in VENDORED or name.startswith(MACHINE):
        return False
    return path.relative_to(root).as_posix() not in TABLES


def _sample(files: list[tuple[str, Path]], max_bytes: int) -> Iterator[tuple[str, Path]]:
    left = max_bytes
    for name, path in sorted(files, key=lambda file: hashlib.sha256(file[0].encode()).digest()):
        size = path.stat().st_size
        if size <= left:
            left -= size
            yield name, path
