"""Documents divided into training and validation so that no validation text is in training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nas.errors import InputError

FEW_DOCUMENTS = 32
SECTION_BYTES = 4096
FILLED = 0.5  # a validation set below this share of what was asked for is too small
BREAKS = (b"\n\n", b"\n", b" ")


@dataclass(frozen=True)
class Split:
    """The two parts, each in the order of the documents' hashes.

    Attributes:
        training: documents to learn from.
        validation: documents to judge by.
        sha256: the hash of all documents, whatever their order and names.
        duplicates: how many documents were left out because the same text was there before.
    """

    training: list[bytes]
    validation: list[bytes]
    sha256: str
    duplicates: int


def split_documents(documents: Iterable[bytes], validation_fraction: float) -> Split:
    """Divide documents by a hash of their content, so that names and order do not matter.

    Exact duplicates count once. In the order of their hashes, documents go to validation while
    they fit into ``validation_fraction`` of all bytes. Where whole documents are too few or too
    large for that (a single file, for instance), they are first cut into sections of some KB.

    Raises:
        InputError: the text is too small to be divided.
    """
    given = list(documents)
    whole = _unique(given)
    duplicates = len(given) - len(whole)
    target = validation_fraction * sum(map(len, whole.values()))
    chosen = _fitting(whole, target)
    if len(whole) < FEW_DOCUMENTS or _bytes(whole, chosen) < FILLED * target:
        size = max(1, min(SECTION_BYTES, int(target / 4)))
        whole = _unique(section for text in whole.values() for section in sections(text, size))
        chosen = _fitting(whole, target)
    if not chosen or len(chosen) == len(whole):
        total, different = sum(map(len, given)), sum(map(len, whole.values()))
        repeated = f", of which {total - different} repeat others," if different < total else ""
        raise InputError(
            f"corpus: {total} bytes of text{repeated} cannot be divided into training and "
            f"task.validation_fraction={validation_fraction}; give more text or another fraction"
        )
    return Split(
        [text for digest, text in whole.items() if digest not in chosen],
        [text for digest, text in whole.items() if digest in chosen],
        hashlib.sha256(b"".join(whole)).hexdigest(),
        duplicates,
    )


def sections(text: bytes, size: int) -> Iterator[bytes]:
    """Cut text into sections of at least ``size`` bytes (the last may be shorter), losing nothing.

    A section ends after the first blank line beyond ``size``; without one within four times that,
    after a line, then after a space, and at last within a word (never within a character).
    """
    start = 0
    while start < len(text):
        end = _section_end(text, start, size)
        yield text[start:end]
        start = end


def _section_end(text: bytes, start: int, size: int) -> int:
    least, most = start + size, start + 4 * size
    if least >= len(text):
        return len(text)
    for mark in BREAKS:
        found = text.find(mark, least - 1, most)
        if found >= 0:
            return found + len(mark)
    end = min(most, len(text))
    while end < len(text) and text[end] & 0xC0 == 0x80:  # inside a UTF-8 character
        end += 1
    return end


def _unique(documents: Iterable[bytes]) -> dict[bytes, bytes]:
    by_digest = {hashlib.sha256(text).digest(): text for text in documents}
    return dict(sorted(by_digest.items()))


def _fitting(documents: dict[bytes, bytes], target: float) -> set[bytes]:
    chosen: set[bytes] = set()
    left = target
    for digest, text in documents.items():
        if len(text) <= left:
            left -= len(text)
            chosen.add(digest)
    return chosen


def _bytes(documents: dict[bytes, bytes], digests: set[bytes]) -> int:
    return sum(len(documents[digest]) for digest in digests)
