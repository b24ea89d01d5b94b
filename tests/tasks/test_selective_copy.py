"""Selective copying: what is written down is what stood among the blanks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.tasks.selective_copy import SelectiveCopy


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 20), st.integers(1, 9), st.integers(0, 20), st.integers(0, 2**32))
def test_rows_are_solvable_from_what_is_visible(vocab: int, copied: int, more: int, seed: int) -> None:
    length = 2 * copied + 1 + more
    task = SelectiveCopy(vocab, length, copied)
    rows = task.draw(np.random.default_rng(seed), 16, "train")
    assert (rows.tokens[:, length - copied - 1] == vocab - 1).all()
    assert (np.take_along_axis(rows.tokens, rows.asked, axis=1) == vocab - 2).all()
    assert (rows.asked == np.arange(length - copied, length)).all()
    scattered = rows.tokens[:, : length - copied - 1]
    for row, labels in zip(scattered, rows.labels, strict=True):
        assert row[row != vocab - 2].tolist() == labels.tolist()


def test_tokens_are_uniform_and_each_has_its_share_of_the_blanks() -> None:
    """As by inserting each blank in front of a token drawn uniformly: gaps are multinomial."""
    task = SelectiveCopy(16, 48, 4)
    rows = task.draw(np.random.default_rng(0), 20_000, "train")
    assert np.abs(np.bincount(rows.labels.ravel(), minlength=14) / rows.labels.size - 1 / 14).max() < 0.003
    places = np.nonzero(rows.tokens[:, :43] != 14)[1].reshape(-1, 4)
    gaps = np.diff(places, axis=1, prepend=-1) - 1
    assert (gaps.sum(axis=1) == 39).all()
    assert np.abs(gaps.mean(axis=0) - 39 / 4).max() < 0.1
    assert np.abs(gaps.var(axis=0) - 39 * 3 / 16).max() < 0.3


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"vocab_size": 3}, ["task.vocab_size=3 must be at least 4"]),
        ({"num_copied": 32}, ["task.seq_length=64 must be at least 65"]),
        (
            {"vocab_size": 2, "num_copied": 0, "seq_length": 0, "validation_examples": 0},
            ["vocab_size=2", "num_copied=0", "seq_length=0", "validation_examples=0"],
        ),
    ],
)
def test_settings_without_a_solution_are_all_named(change: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(InputError) as error:
        SelectiveCopy(**change)
    for message in messages:
        assert message in str(error.value)
