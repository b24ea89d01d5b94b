"""Prepared text: made once, whole or absent, and made again when it is damaged or the corpus changed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nas.errors import InputError
from nas.progress import Say, silent
from nas.tasks.corpora.base import Document
from nas.tasks.corpora.text import TextCorpus
from nas.tasks.prepared import PreparedText, prepare_text
from nas.tasks.split import split_documents
from nas.tasks.tokenizers.bpe import BPETokenizer
from nas.tasks.tokenizers.bytes import BytesTokenizer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def corpus(tmp_path: Path) -> TextCorpus:
    for i in range(100):
        path = tmp_path / f"texts/{i}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"text {i}: " + "the quick brown fox jumps over it. " * (i % 7 + 1))
    return TextCorpus(str(tmp_path / "texts"))


def prepare(corpus: TextCorpus, cache: Path, lines: list[str] | None = None) -> PreparedText:
    return prepare_text(corpus, BytesTokenizer(), 0.1, cache, silent if lines is None else lines.append)


def folder_of(cache: Path) -> Path:
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    return folder


def test_the_streams_are_the_documents_with_separators(corpus: TextCorpus, tmp_path: Path) -> None:
    prepared = prepare(corpus, tmp_path / "cache")
    tokenizer = BytesTokenizer()
    split = split_documents((d.text for d in corpus.documents(silent)), 0.1)
    for stream, texts in ((prepared.train, split.training), (prepared.validation, split.validation)):
        assert stream[-1] == tokenizer.separator
        documents = np.split(stream, np.flatnonzero(stream == tokenizer.separator) + 1)[:-1]
        assert [tokenizer.decode(ids[:-1]) for ids in documents] == texts
    assert prepared.train.dtype == np.uint16
    assert np.array_equal(prepared.counts, np.bincount(prepared.train, minlength=tokenizer.vocab_size))
    assert isinstance(prepared.train.base, np.memmap)  # shared between processes, not copied
    assert prepared.meta["corpus_sha256"] == split.sha256
    assert prepared.meta["train_tokens"] == len(prepared.train)


def test_it_is_said_once_and_found_the_second_time(corpus: TextCorpus, tmp_path: Path) -> None:
    lines: list[str] = []
    first = prepare(corpus, tmp_path / "cache", lines)
    assert re.fullmatch(r"preparing corpus: [\d.]+kB, 100 documents \.\.\.", lines[0])
    assert lines[1].startswith("prepared in ")
    second = prepare(corpus, tmp_path / "cache", lines)
    assert len(lines) == 2
    assert np.array_equal(first.train, second.train)
    assert first.meta == second.meta


def test_names_and_order_of_the_files_do_not_matter(corpus: TextCorpus, tmp_path: Path) -> None:
    first = prepare(corpus, tmp_path / "cache")
    (tmp_path / "texts/0.txt").rename(tmp_path / "texts/zzz.txt")
    second = prepare(corpus, tmp_path / "cache")
    assert np.array_equal(first.train, second.train)
    assert first.meta == second.meta


def test_a_changed_corpus_is_prepared_anew(corpus: TextCorpus, tmp_path: Path) -> None:
    first = prepare(corpus, tmp_path / "cache")
    (tmp_path / "texts/new.txt").write_text("one more text")
    second = prepare(corpus, tmp_path / "cache")
    assert first.meta["corpus_sha256"] != second.meta["corpus_sha256"]
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 2


def test_a_corpus_that_changes_while_it_is_read(corpus: TextCorpus, tmp_path: Path) -> None:
    class Growing(TextCorpus):
        def documents(self, say: Say) -> Iterator[Document]:
            yield from super().documents(say)
            (tmp_path / "texts/late.txt").write_text("late")

    with pytest.raises(InputError, match="changed while it was read"):
        prepare(Growing(corpus.path), tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


@pytest.mark.parametrize("name", ["train.npy", "validation.npy", "counts.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_damaged_folder_is_made_again(corpus: TextCorpus, tmp_path: Path, name: str, damage: str) -> None:
    cache = tmp_path / "cache"
    before = np.array(prepare(corpus, cache).train)
    file = folder_of(cache) / name
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-7])
    lines: list[str] = []
    after = prepare(corpus, cache, lines)
    assert len(lines) == 2
    assert np.array_equal(after.train, before)
    assert prepare(corpus, cache, lines).meta == after.meta
    assert len(lines) == 2


def test_a_kill_while_writing_leaves_nothing_that_counts(corpus: TextCorpus, tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from nas.progress import Say, silent
from nas.tasks.corpora.base import Document
from nas.tasks.corpora.text import TextCorpus
from nas.tasks.prepared import prepare_text
from nas.tasks.tokenizers.bytes import BytesTokenizer
class Killed(BytesTokenizer):
    def save(self, folder):
        os.kill(os.getpid(), signal.SIGKILL)
Killed.__module__, Killed.__qualname__ = BytesTokenizer.__module__, BytesTokenizer.__qualname__
prepare_text(TextCorpus(sys.argv[1]), Killed(), 0.1, Path(sys.argv[2]), silent)
"""
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", script, str(tmp_path / "texts"), str(cache)]
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert killed.returncode == -signal.SIGKILL
    (half,) = (path for path in cache.iterdir() if path.is_dir())
    assert half.name.startswith(".")
    lines: list[str] = []
    assert len(prepare(corpus, cache, lines).train) > 1000
    assert len(lines) == 2
    assert not half.exists()
    assert len(list(cache.iterdir())) == 2  # the folder and its lock


def test_processes_that_ask_at_once_prepare_once(corpus: TextCorpus, tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from nas.tasks.corpora.text import TextCorpus
from nas.tasks.prepared import prepare_text
from nas.tasks.tokenizers.bpe import BPETokenizer
lines = []
sys.stdin.readline()  # all start at once
prepared = prepare_text(TextCorpus(sys.argv[1]), BPETokenizer(300), 0.1, Path(sys.argv[2]), lines.append)
print(len(lines), len(prepared.train), prepared.meta["tokenizer_sha256"])
"""
    command = [sys.executable, "-c", script, str(tmp_path / "texts"), str(tmp_path / "cache")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    racers = [
        subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    out = [racer.communicate(timeout=60)[0].split() for racer in racers]
    assert sorted(line[0] for line in out) == ["0", "0", "2"]
    assert len({tuple(line[1:]) for line in out}) == 1


def test_bpe_learns_from_the_training_text_alone(corpus: TextCorpus, tmp_path: Path) -> None:
    tokenizer = BPETokenizer(400)
    prepare_text(corpus, tokenizer, 0.1, tmp_path / "cache", silent)
    split = split_documents((d.text for d in corpus.documents(silent)), 0.1)
    alone = BPETokenizer(400)
    alone.fit(split.training)
    assert tokenizer.pieces() == alone.pieces()


def test_a_cache_that_cannot_be_written(corpus: TextCorpus, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be prepared in"):
        prepare(corpus, tmp_path / "file/cache")


def test_a_full_disk_leaves_nothing_behind(corpus: TextCorpus, tmp_path: Path) -> None:
    class Full(BytesTokenizer):
        def save(self, folder: Path) -> None:
            Path("/dev/full").write_bytes(b"x" * 10000)

    with pytest.raises(InputError, match=r"cannot be prepared in.*No space left"):
        prepare_text(corpus, Full(), 0.1, tmp_path / "cache", silent)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]
