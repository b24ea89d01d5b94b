"""Corpora read what they should, leave out the rest, and say what is wrong."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from nas.errors import InputError
from nas.progress import silent
from nas.tasks.corpora import stdlib
from nas.tasks.corpora.base import Corpus
from nas.tasks.corpora.hub import HubCorpus
from nas.tasks.corpora.stdlib import StdlibCorpus
from nas.tasks.corpora.text import TextCorpus


def names(corpus: Corpus) -> list[str]:
    return [Path(document.name).name for document in corpus.documents(silent)]


# the standard library


def test_stdlib_is_real_text_in_a_fixed_order() -> None:
    documents = list(StdlibCorpus(500_000).documents(silent))
    assert 300_000 < sum(len(d.text) for d in documents) <= 500_000
    assert [d.name for d in documents] == sorted(d.name for d in documents)
    assert documents == list(StdlibCorpus(500_000).documents(silent))
    assert StdlibCorpus(500_000).key() == StdlibCorpus(500_000).key() != StdlibCorpus(400_000).key()
    for document in documents:
        document.text.decode("utf-8")


def test_stdlib_leaves_out_tests_packages_and_tables() -> None:
    found = {d.name for d in StdlibCorpus(None).documents(silent)}
    assert {"json/decoder.py", "typing.py", "unittest/case.py", "pydoc_data/topics.py"} <= found
    for name in found:
        assert not {"test", "tests", "idle_test", "site-packages", "encodings"} & set(name.split("/"))
    assert sum(len(d.text) for d in StdlibCorpus(None).documents(silent)) > 5_000_000


def test_stdlib_of_other_layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian keeps dist-packages inside; conda and pyenv site-packages; all of them machine files."""
    for name in (
        "dist-packages/x.py",
        "site-packages/y.py",
        "config-3.11-x/python-config.py",
        "_sysconfigdata__linux.py",
        "ensurepip/_bundled/z.py",
        "test/t.py",
        "json/tests/t.py",
        "__pycache__/c.py",
        "json/decoder.py",
        "LICENSE.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "latin.py").write_bytes("é".encode("latin-1"))
    (tmp_path / "empty.py").touch()
    monkeypatch.setattr(stdlib, "library_folder", lambda: tmp_path)
    assert [d.name for d in StdlibCorpus(None).documents(silent)] == ["LICENSE.txt", "json/decoder.py"]


def test_an_interpreter_without_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdlib, "library_folder", lambda: tmp_path / "python311.zip")
    with pytest.raises(InputError, match="use corpus=text"):
        StdlibCorpus().key()


def test_stdlib_size_must_be_positive() -> None:
    with pytest.raises(InputError, match="max_bytes=0"):
        StdlibCorpus(0)


# text files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.md", "deep/er/c.txt", ".hidden.txt", ".git/d.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"this is {name}\n")
    return tmp_path


def test_a_file_a_folder_a_pattern_and_a_glob(folder: Path) -> None:
    assert names(TextCorpus(str(folder / "b.txt"))) == ["b.txt"]
    assert names(TextCorpus(str(folder))) == ["a.md", "b.txt", "c.txt"]
    assert names(TextCorpus(str(folder), "**/*.txt")) == ["b.txt", "c.txt"]
    assert names(TextCorpus(str(folder / "*.txt"))) == ["b.txt"]
    assert names(TextCorpus(str(folder / "**/*.txt"))) == ["b.txt", "c.txt"]


def test_the_current_folder_and_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    assert names(TextCorpus("deep")) == ["c.txt"]
    assert names(TextCorpus("~/b.txt")) == ["b.txt"]


def test_files_that_are_not_text_are_left_out_of_a_folder(folder: Path) -> None:
    (folder / "picture.png").write_bytes(b"\x89PNG\0\0")
    (folder / "old.txt").write_bytes("é".encode("latin-1"))
    (folder / "empty.txt").touch()
    lines: list[str] = []
    found = [Path(d.name).name for d in TextCorpus(str(folder)).documents(lines.append)]
    assert found == ["a.md", "b.txt", "c.txt"]
    (line,) = lines
    assert "2 of 6 files that are not UTF-8 text: old.txt, picture.png" in line


@pytest.mark.parametrize(
    ("make", "path", "message"),
    [
        (None, "absent.txt", "absent.txt does not exist"),
        (None, "*.txt", "matches no file"),
        (lambda p: p.mkdir(), "x", "folder without a file that matches corpus.pattern"),
        (lambda p: p.touch(), "x", "is empty; expected UTF-8 text"),
        (lambda p: p.write_text(" \n\n"), "x", "is empty; expected UTF-8 text"),
        (lambda p: p.write_bytes(b"\xff\xfe\0\0"), "x", "is not text; expected a UTF-8 text file"),
        (lambda p: p.write_text("x\0y"), "x", "is not text"),
        (os.mkfifo, "x", "neither a file nor a folder"),
    ],
)
def test_wrong_paths(tmp_path: Path, make: Any, path: str, message: str) -> None:
    if make:
        make(tmp_path / path)
    with pytest.raises(InputError) as error:
        list(TextCorpus(str(tmp_path / path)).documents(silent))
    assert message in str(error.value)
    assert str(tmp_path / path) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_folder_of_binaries(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.bin").write_bytes(b"\0")
    with pytest.raises(InputError, match="3 of 3 files are not UTF-8"):
        list(TextCorpus(str(tmp_path)).documents(silent))


@pytest.mark.parametrize("path", ["~no-such-user-here/x", "x" * 300])
def test_paths_that_the_system_refuses(path: str) -> None:
    with pytest.raises(InputError, match=r"corpus\.path=.* cannot be read"):
        TextCorpus(path).key()


def test_no_path_and_no_pattern() -> None:
    with pytest.raises(InputError, match=r"corpus\.path is empty"):
        TextCorpus(" ")
    with pytest.raises(InputError, match=r"corpus\.pattern"):
        TextCorpus(".", "/etc/*")


def test_the_key_notices_every_change(folder: Path) -> None:
    keys = {TextCorpus(str(folder)).key()}
    file = folder / "b.txt"
    dates = (file.stat().st_atime_ns, file.stat().st_mtime_ns)

    def changed() -> None:
        keys.add(TextCorpus(str(folder)).key())

    file.write_text("that is b.txt\n")  # the same size
    os.utime(file, ns=dates)  # and the same date
    changed()
    file.write_text("longer than it was before")
    changed()
    (folder / "new.txt").write_text("new")
    changed()
    (folder / "new.txt").unlink()
    (folder / "a.md").rename(folder / "z.md")
    changed()
    assert len(keys) == 5
    assert TextCorpus(str(folder)).key() in keys


# Hugging Face datasets


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'nas\[hub\]'"):
        HubCorpus("x").key()
