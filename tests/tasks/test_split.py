"""Validation text is never in training, and the division depends on the text alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.tasks.split import sections, split_documents

DOCUMENTS = st.lists(st.binary(min_size=1, max_size=60), min_size=40, max_size=80, unique=True)


@settings(max_examples=30, deadline=None)
@given(DOCUMENTS, st.randoms())
def test_the_parts_are_disjoint_and_complete(documents: list[bytes], random: object) -> None:
    split = split_documents(documents, 0.2)
    assert not set(split.training) & set(split.validation)
    assert sum(map(len, split.training + split.validation)) <= sum(map(len, documents))
    assert sum(map(len, split.validation)) <= 0.2 * sum(map(len, documents))
    shuffled = list(documents)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert split_documents(shuffled, 0.2) == split


def test_whole_documents_stay_whole_and_duplicates_count_once() -> None:
    documents = [b"document %d\n\nits second part" % i for i in range(200)]
    split = split_documents(documents + documents[:50], 0.1)
    assert split.duplicates == 50
    assert sorted(split.training + split.validation) == sorted(documents)
    assert 0.08 < len(split.validation) / 200 <= 0.1


def test_an_added_document_changes_the_hash() -> None:
    documents = [b"document %d" % i for i in range(100)]
    assert split_documents(documents, 0.1).sha256 != split_documents([*documents, b"new"], 0.1).sha256


def test_one_long_document_is_cut_into_sections() -> None:
    text = b"\n\n".join(b"paragraph %d " % i + b"word " * 200 for i in range(400))
    split = split_documents([text], 0.05)
    share = sum(map(len, split.validation)) / len(text)
    assert 0.03 < share <= 0.05
    assert not any(part in b"".join(split.training) for part in split.validation)


def test_one_document_that_is_nearly_everything_is_not_the_validation_set() -> None:
    documents = [b"small %d" % i for i in range(40)] + [b"\n\n".join(b"big %d" % i * 99 for i in range(999))]
    split = split_documents(documents, 0.05)
    total = sum(map(len, documents))
    assert 0.02 * total < sum(map(len, split.validation)) <= 0.05 * total


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab é\n𝄞", max_size=300), st.integers(1, 40))
def test_sections_lose_nothing_and_stay_utf8(text: str, size: int) -> None:
    data = text.encode()
    parts = list(sections(data, size))
    assert b"".join(parts) == data
    assert all(len(part) <= 4 * size + 3 for part in parts)
    assert all(len(part) >= size for part in parts[:-1])
    for part in parts:
        part.decode()


def test_sections_end_at_blank_lines() -> None:
    assert list(sections(b"a\nb\n\nc\n\nd", 3)) == [b"a\nb\n\n", b"c\n\n", b"d"]


@pytest.mark.parametrize("documents", [[b"x"], [b"same"] * 100])
def test_too_little_text(documents: list[bytes]) -> None:
    with pytest.raises(InputError, match="cannot be divided"):
        split_documents(documents, 0.01)


def test_text_that_repeats_itself_is_said_to() -> None:
    with pytest.raises(InputError, match="400 bytes of text, of which 396 repeat others, cannot be divided"):
        split_documents([b"same"] * 100, 0.01)
