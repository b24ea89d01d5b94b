"""Text files of the user's own: one file, a folder, or a glob."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

from nas.errors import InputError
from nas.progress import Say
from nas.tasks.corpora.base import Corpus, Document, files_key, hash_of, is_text

MAGIC = "*?["


class TextCorpus(Corpus):
    """UTF-8 text files, one document per file.

    Hidden files and folders are left out. In a folder or glob, files that are not UTF-8 text are
    left out too, and said; a single file that is not text is an error.

    Args:
        path: a file, a folder or a glob (``**`` for any depth), relative to the current folder;
            ``~`` is the home folder.
        pattern: which files of a folder to take.

    Raises:
        InputError: nothing is there, or none of it is text; raised when the corpus is read.
    """

    def __init__(self, path: str, pattern: str = "**/*") -> None:
        if not str(path).strip():
            raise InputError("corpus.path is empty; give a text file, a folder or a glob")
        if not pattern or Path(pattern).is_absolute():
            raise InputError(f"corpus.pattern={pattern!r} must be a relative pattern such as **/*.txt")
        self.path = str(path)
        self.pattern = pattern

    def documents(self, say: Say) -> Iterator[Document]:
        """Yield the files that are text, ordered by path."""
        paths = self._paths()
        skipped: list[Path] = []
        found = False
        for path in paths:
            text = _read(path)
            if not is_text(text):
                skipped.append(path)
            elif text.strip():
                found = True
                yield Document(path.as_posix(), text)
        if not found:
            raise InputError(self._nothing(paths, skipped))
        if skipped:
            say(f"left out {len(skipped)} of {len(paths)} files that are not UTF-8 text: {_names(skipped)}")

    def key(self) -> str:
        """Return a hash of the files' paths, sizes and times."""
        return hash_of("text", files_key(self._paths()))

    def _paths(self) -> list[Path]:
        try:
            return self._found()
        except InputError:
            raise
        except (OSError, RuntimeError, ValueError) as error:  # no permission, no such home, a wrong pattern
            raise InputError(f"corpus.path={self.path} cannot be read: {error}") from error

    def _found(self) -> list[Path]:
        path = Path(self.path).expanduser()
        if path.is_file():
            return [path]
        if path.is_dir():
            return self._in_folder(path)
        if path.exists():
            raise InputError(f"corpus.path={self.path} is neither a file nor a folder; expected UTF-8 text")
        if not any(c in self.path for c in MAGIC):
            raise InputError(
                f"corpus.path={self.path} does not exist (looked in {Path.cwd()}); "
                "expected a text file, a folder or a glob"
            )
        matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
        found = sorted(match for match in map(Path, matches) if match.is_file())
        if not found:
            raise InputError(f"corpus.path={self.path} matches no file (looked in {Path.cwd()})")
        return found

    def _in_folder(self, folder: Path) -> list[Path]:
        found = sorted(p for p in folder.glob(self.pattern) if _visible(p, folder) and p.is_file())
        if not found:
            raise InputError(
                f"corpus.path={self.path} is a folder without a file that matches "
                f"corpus.pattern={self.pattern}; hidden files do not count"
            )
        return found

    def _nothing(self, paths: list[Path], skipped: list[Path]) -> str:
        if not skipped:
            return f"corpus.path={self.path} is empty; expected UTF-8 text"
        if len(paths) == 1:
            return f"corpus.path={self.path} is not text; expected a UTF-8 text file"
        return f"corpus.path={self.path} holds no text: {len(skipped)} of {len(paths)} files are not UTF-8"


def _visible(path: Path, folder: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"corpus.path: cannot read {path}: {error.strerror}") from error


def _names(paths: list[Path]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(path.name for path in paths[:3]) + more
