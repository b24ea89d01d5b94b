"""In-context recall: rows are the paper's, with the values of repeated keys hidden."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.tasks.generated import Rows
from nas.tasks.in_context_recall import InContextRecall
from nas.tasks.scoring import IGNORED


def solve(rows: Rows, mask: int) -> list[list[int]]:
    """Look every mask up under the key before it, from what is visible alone."""
    found = []
    for row, asked, labels in zip(rows.tokens, rows.asked, rows.labels, strict=True):
        shown = {k: v for k, v in zip(row[0::2], row[1::2], strict=True) if v != mask}
        wanted = asked[labels != IGNORED]
        found.append([int(shown[row[place - 1]]) for place in wanted])
    return found


def answers(rows: Rows) -> list[list[int]]:
    return [[int(label) for label in row if label != IGNORED] for row in rows.labels]


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 30), st.integers(2, 20), st.integers(0, 2**32))
def test_rows_are_solvable_from_what_is_visible(vocab: int, pairs: int, seed: int) -> None:
    task = InContextRecall(vocab, 2 * pairs)
    rows = task.draw(np.random.default_rng(seed), 16, "train")
    assert solve(rows, task.mask) == answers(rows)
    keys, values = rows.tokens[:, 0::2], rows.tokens[:, 1::2]
    assert (keys < vocab // 2).all()
    assert ((values >= vocab // 2) & (values <= vocab)).all()
    assert (values[:, -1] == task.mask).all()  # the last key has been there
    for row_keys, row_values in zip(keys, values, strict=True):  # one value is shown for each key
        assert len(set(row_keys)) == (row_values != task.mask).sum()


def test_keys_and_values_are_uniform_and_independent() -> None:
    rows = InContextRecall(16, 32).draw(np.random.default_rng(0), 20_000, "train")
    keys, values = rows.tokens[:, 0::2], rows.tokens[:, 1]
    assert np.abs(np.bincount(keys[:, :-1].ravel(), minlength=8) / keys[:, :-1].size - 1 / 8).max() < 0.005
    joint = np.bincount(keys[:, 0] * 8 + values - 8, minlength=64) / len(keys)
    assert np.abs(joint - 1 / 64).max() < 0.005


def test_the_last_key_is_uniform_among_those_of_the_row() -> None:
    """The first key occurs in two of three pairs here, and is last in half of the rows."""
    rows = InContextRecall(4, 8).draw(np.random.default_rng(0), 40_000, "train")
    keys = rows.tokens[:, 0::2]
    once = (keys[:, 0] == keys[:, 1]) & (keys[:, 0] != keys[:, 2])
    assert abs((keys[once, 3] == keys[once, 0]).mean() - 0.5) < 0.02


def test_the_bag_of_visible_values_is_not_enough() -> None:
    """The most frequent visible value is right in a third of cases, as the docstring says."""
    task = InContextRecall()
    rows = task.draw(np.random.default_rng(0), 2000, "val")
    right = asked = 0
    for row, labels in zip(rows.tokens, answers(rows), strict=True):
        guess = np.bincount(row[1::2][row[1::2] != task.mask]).argmax()
        right, asked = right + sum(label == guess for label in labels), asked + len(labels)
    assert 0.25 < right / asked < 0.4


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"seq_length": 33}, ["task.seq_length=33 must be even"]),
        ({"seq_length": 2}, ["task.seq_length=2 must be at least 4"]),
        ({"vocab_size": 3, "seq_length": 3}, ["two keys and two values, not 3", "be even", "at least 4"]),
        ({"vocab_size": 2, "train_examples": 0}, ["task.vocab_size", "task.train_examples=0"]),
    ],
)
def test_settings_without_a_solution_are_all_named(change: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(InputError) as error:
        InContextRecall(**change)
    for message in messages:
        assert message in str(error.value)
