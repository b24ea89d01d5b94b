"""Memorization: one dictionary, which no row shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.tasks.memorization import Memorization


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 60), st.integers(1, 12), st.integers(0, 2**32))
def test_every_row_asks_for_the_same_dictionary(vocab: int, pairs: int, seed: int) -> None:
    task = Memorization(vocab, 2 * pairs)
    rows = task.draw(np.random.default_rng(seed), 16, "train")
    keys = rows.tokens[:, 0::2]
    assert (rows.tokens[:, 1::2] == vocab - 1).all()
    assert (rows.asked == np.arange(1, 2 * pairs, 2)).all()
    assert keys.max() < task.num_keys == (vocab - 1) // 2
    assert (rows.labels == task.dictionary[keys]).all()
    assert len(set(task.dictionary)) == task.num_keys  # each key has a value of its own
    assert task.num_keys <= task.dictionary.min()
    assert task.dictionary.max() < vocab - 1


def test_the_dictionary_depends_on_the_vocabulary_alone() -> None:
    first = Memorization().dictionary
    assert (Memorization(seq_length=64, train_examples=None).dictionary == first).all()
    assert first[:6].tolist() == [145, 132, 176, 188, 234, 175]  # the same on every platform
    assert (Memorization(258).dictionary[:127] != first).any()


def test_keys_are_uniform_and_all_are_in_the_training_rows() -> None:
    task = Memorization()
    keys = task.draw(np.random.default_rng(0), 256, "train").tokens[:, 0::2]
    counts = np.bincount(keys.ravel(), minlength=127)
    assert counts.min() > 0
    assert counts.shape == (127,)
    many = task.draw(np.random.default_rng(1), 20_000, "train").tokens[:, 0::2]
    assert np.abs(np.bincount(many.ravel()) / many.size * 127 - 1).max() < 0.1


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"vocab_size": 4}, ["task.vocab_size=4 must be at least 5"]),
        ({"seq_length": 31}, ["task.seq_length=31 must be even"]),
        (
            {"vocab_size": 0, "seq_length": 0, "train_examples": 0},
            ["vocab_size=0", "seq_length=0", "train_examples=0"],
        ),
    ],
)
def test_settings_without_a_solution_are_all_named(change: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(InputError) as error:
        Memorization(**change)
    for message in messages:
        assert message in str(error.value)
