"""Dyck: the hidden brackets are those of a stack, and nothing else tells of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.tasks.dyck import Dyck
from nas.tasks.scoring import IGNORED


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(1, 6), st.integers(2, 24), st.integers(2, 20), st.integers(0, 2**32))
def test_labels_are_what_a_stack_says(kinds: int, depth: int, train: int, more: int, seed: int) -> None:
    task = Dyck(kinds, depth, train, train + more)
    for split in ("train", "val", "longer"):
        rows = task.draw(np.random.default_rng(seed), 16, split)
        assert rows.mask is not None
        assert rows.tokens.shape[1] == (task.longest if split == "longer" else task.seq_length)
        for tokens, asked, labels, real in zip(rows.tokens, rows.asked, rows.labels, rows.mask, strict=True):
            length = int(real.sum())
            assert real[:length].all()
            assert (length > train) == (split == "longer")
            stack: list[int] = []
            expected = []
            for place, token in enumerate(tokens[:length]):
                if token == task.mask:
                    expected.append((place, kinds + stack.pop()))
                else:
                    stack.append(token)
                    assert token < kinds
                assert len(stack) <= depth
            assert stack == []
            count = len(expected)
            assert expected == list(zip(asked[:count], labels[:count], strict=True))
            assert (labels[count:] == IGNORED).all()
            assert (tokens[length:] == task.mask).all()
            assert (np.diff(asked) > 0).all()


def test_lengths_nestings_and_types_are_equally_likely() -> None:
    task = Dyck(2, 2, 6, 8)
    rows = task.draw(np.random.default_rng(0), 40_000, "train")
    assert rows.mask is not None
    lengths = rows.mask.sum(axis=1)
    assert np.abs(np.bincount(lengths)[[2, 4, 6]] / 40_000 - 1 / 3).max() < 0.01
    shapes = Counter(map(bytes, (rows.tokens[lengths == 6] == task.mask).astype(np.uint8)))
    assert len(shapes) == 4  # of the five of this length, one has depth 3
    assert all(abs(count / 40_000 * 12 - 1) < 0.05 for count in shapes.values())
    asked = rows.labels[rows.labels != IGNORED]
    assert np.abs(np.bincount(asked)[2:] / len(asked) - 0.5).max() < 0.01


def test_the_published_lengths(make_task: Any) -> None:
    task = make_task("dyck_hewitt", validation_examples=16)
    assert (task.seq_length, task.longest, task.bracket_types) == (180, 360, 8)
    (batch,) = task.batches("longer", 16)
    lengths = batch.inputs["input_mask"].sum(1)
    assert lengths.min() > 180


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"train_length": 1}, ["task.train_length=1 must be at least 2"]),
        ({"train_length": 25, "test_length": 25}, ["task.test_length=25 must be at least 26"]),
        (
            {"bracket_types": 1, "max_depth": 0, "test_length": 24, "train_examples": 0},
            ["bracket_types=1", "max_depth=0", "test_length=24 must be at least 26", "train_examples=0"],
        ),
    ],
)
def test_settings_without_a_solution_are_all_named(change: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(InputError) as error:
        Dyck(**change)
    assert len(error.value.mistakes) == len(messages)
    for message in messages:
        assert message in str(error.value)
