"""Tokenizers lose nothing, and learn the same from the same text."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.tasks.corpora.stdlib import StdlibCorpus
from nas.tasks.tokenizers.base import Tokenizer
from nas.tasks.tokenizers.bpe import BPETokenizer
from nas.tasks.tokenizers.bytes import BytesTokenizer

ROOT = Path(__file__).resolve().parents[2]


def stdlib(max_bytes: int = 300_000) -> list[bytes]:
    return [document.text for document in StdlibCorpus(max_bytes).documents(print)]


@pytest.fixture(scope="module")
def bpe() -> BPETokenizer:
    tokenizer = BPETokenizer(600)
    tokenizer.fit(stdlib())
    return tokenizer


@pytest.fixture(scope="module", params=["bytes", "bpe"])
def tokenizer(request: pytest.FixtureRequest, bpe: BPETokenizer) -> Tokenizer:
    return BytesTokenizer() if request.param == "bytes" else bpe


@settings(max_examples=60, deadline=None)
@given(documents=st.lists(st.one_of(st.binary(max_size=40), st.text(max_size=40).map(str.encode))))
def test_round_trip_of_any_bytes(tokenizer: Tokenizer, documents: list[bytes]) -> None:
    encoded = tokenizer.encode(documents)
    assert [tokenizer.decode(ids) for ids in encoded] == documents
    for ids in encoded:
        assert all(tokenizer.specials <= i < tokenizer.vocab_size for i in ids)


def test_round_trip_of_the_standard_library(tokenizer: Tokenizer) -> None:
    documents = stdlib(1_000_000)
    encoded = tokenizer.encode(documents)
    assert [tokenizer.decode(ids) for ids in encoded] == documents
    pieces = tokenizer.pieces()
    assert sum(len(pieces[i]) for ids in encoded for i in ids) == sum(map(len, documents))


def test_names_of_special_tokens_in_the_text_stay_text(tokenizer: Tokenizer) -> None:
    text = b"<pad> [MASK] [SEP] <|endoftext|> [UNK]"
    (ids,) = tokenizer.encode([text])
    assert min(ids) >= tokenizer.specials
    assert tokenizer.decode(ids) == text


def test_special_tokens_stand_for_nothing(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(range(tokenizer.specials)) == b""
    assert len(tokenizer.pieces()) == tokenizer.vocab_size


def test_save_and_load(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    again = type(tokenizer)(**tokenizer.config)
    again.load(tmp_path)
    assert again.pieces() == tokenizer.pieces()
    assert [list(i) for i in again.encode(stdlib(50_000))] == [
        list(i) for i in tokenizer.encode(stdlib(50_000))
    ]


def test_bpe_learns_pieces_longer_than_a_byte(bpe: BPETokenizer) -> None:
    assert sum(len(piece) > 1 for piece in bpe.pieces()) == 600 - 256 - bpe.specials
    (ids,) = bpe.encode([b"    return self"])
    assert len(ids) < 8


FIT = """
import hashlib, sys
from nas.tasks.corpora.stdlib import StdlibCorpus
from nas.tasks.tokenizers.bpe import BPETokenizer
tokenizer = BPETokenizer(600)
tokenizer.fit([document.text for document in StdlibCorpus(300_000).documents(print)])
print(hashlib.sha256(repr(tokenizer.pieces()).encode()).hexdigest())
"""


@pytest.mark.parametrize("parallel", ["true", "false"])
def test_bpe_learns_the_same_in_every_process(bpe: BPETokenizer, parallel: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": parallel}
    out = subprocess.run([sys.executable, "-c", FIT], env=environment, capture_output=True, check=True).stdout
    assert out.decode().strip() == hashlib.sha256(repr(bpe.pieces()).encode()).hexdigest()


def test_little_text_leaves_entries_unused() -> None:
    tokenizer = BPETokenizer(1000)
    tokenizer.fit([b"abc abc abc"])
    assert tokenizer.vocab_size == len(tokenizer.pieces()) == 1000
    assert tokenizer.decode(tokenizer.encode([b"abc xyz"])[0]) == b"abc xyz"


def test_a_vocabulary_without_room_for_the_bytes() -> None:
    with pytest.raises(InputError, match=r"tokenizer\.vocab_size=258 must be at least 259"):
        BPETokenizer(258)


def test_bpe_asks_to_be_prepared() -> None:
    with pytest.raises(RuntimeError, match=r"task\.prepare"):
        BPETokenizer().encode([b"x"])
