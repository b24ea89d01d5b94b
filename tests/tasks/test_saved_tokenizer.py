"""A tokenizer that a run kept: it is the same one, and wrong places are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import InputError
from nas.tasks.tokenizers.base import Tokenizer
from nas.tasks.tokenizers.bpe import BPETokenizer
from nas.tasks.tokenizers.bytes import BytesTokenizer
from nas.tasks.tokenizers.saved import SavedTokenizer, keep_tokenizer

TEXT = [b"the cat and the hat and the bat sat", b"on the mat \xff that was flat"]


def fitted(name: str) -> Tokenizer:
    tokenizer = {"bytes": BytesTokenizer, "bpe": lambda: BPETokenizer(400)}[name]()
    tokenizer.fit(TEXT)
    return tokenizer


@pytest.mark.parametrize("name", ["bytes", "bpe"])
def test_it_does_what_it_did(name: str, tmp_path: Path) -> None:
    before = fitted(name)
    keep_tokenizer(before, tmp_path)
    for place in (tmp_path, tmp_path / "tokenizer"):
        after = SavedTokenizer(str(place))
        assert after.vocab_size == before.vocab_size
        after.fit([b"other text"])
        assert [ids.tolist() for ids in after.encode(TEXT)] == [ids.tolist() for ids in before.encode(TEXT)]
        assert after.pieces() == before.pieces()
        assert after.decode(after.encode(TEXT)[1]) == TEXT[1]


def test_it_can_be_kept_again_and_is_known_wherever_it_is(tmp_path: Path) -> None:
    keep_tokenizer(fitted("bpe"), tmp_path / "a")
    first = SavedTokenizer(str(tmp_path / "a"))
    keep_tokenizer(first, tmp_path / "b")
    assert SavedTokenizer(str(tmp_path / "b")).settings() == first.settings()
    keep_tokenizer(fitted("bytes"), tmp_path / "b")
    assert SavedTokenizer(str(tmp_path / "b")).settings() != first.settings()


def test_a_bare_file(tmp_path: Path) -> None:
    before = fitted("bpe")
    before.save(tmp_path)
    after = SavedTokenizer(str(tmp_path / "tokenizer.json"))
    assert after.encode(TEXT)[0].tolist() == before.encode(TEXT)[0].tolist()
    assert after.vocab_size <= before.vocab_size  # without entries that nothing uses


def test_places_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tokenizer\.path=.* holds no tokenizer: expected a run folder"):
        SavedTokenizer(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(
        InputError, match=r"tokenizer\.path=.*tokenizer\.json holds no tokenizer of this package"
    ):
        SavedTokenizer(str(tmp_path / "tokenizer.json"))
    keep_tokenizer(fitted("bpe"), tmp_path)
    (tmp_path / "tokenizer" / "kind.json").write_text('{"kind": "words", "config": {}}')
    with pytest.raises(InputError, match=r"holds no tokenizer of this package"):
        SavedTokenizer(str(tmp_path))
