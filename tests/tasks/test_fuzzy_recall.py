"""Fuzzy in-context recall: runs of tokens are keys and values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.tasks.fuzzy_recall import FuzzyRecall
from nas.tasks.scoring import IGNORED

Run = tuple[int, ...]


def pairs_of(task: FuzzyRecall, row: np.ndarray) -> list[tuple[Run, Run]]:
    """Read a row from left to right: filler, then keys and values in turn; masks belong to values."""
    runs: list[list[int]] = []
    for token in row[row != task.filler].tolist():
        is_key = token < task.num_keys
        if not runs or is_key != (runs[-1][0] < task.num_keys):
            runs.append([])
        runs[-1].append(token)
    return list(zip(map(tuple, runs[0::2]), map(tuple, runs[1::2]), strict=True))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(0, 9), st.integers(0, 40),
    st.sampled_from(["train", "val"]), st.integers(0, 2**32),
)  # fmt: skip
def test_rows_are_solvable_from_what_is_visible(
    key_motif: int, value_motif: int, wider: int, longer: int, split: str, seed: int
) -> None:
    vocab, length = 2 * max(key_motif, value_motif) + 1 + wider, 2 * (key_motif + value_motif) + longer
    task = FuzzyRecall(vocab, length, key_motif, value_motif)
    rows = task.draw(np.random.default_rng(seed), 8, split)
    for row, labels in zip(rows.tokens, rows.labels, strict=True):
        pairs = pairs_of(task, row)
        shown = {key: value for key, value in reversed(pairs) if value[0] != task.mask}
        wanted = [token for key, value in pairs if value[0] == task.mask for token in shown[key]]
        assert wanted == labels[labels != IGNORED].tolist()
        for number, (key, value) in enumerate(pairs):
            assert len(value) == len(shown[key])
            assert (value[0] == task.mask) == (key in [k for k, _ in pairs[:number]])
            assert len(set(key)) == len(key) <= key_motif
            assert len(set(shown[key])) == len(value) <= value_motif
            assert max(shown[key]) < task.filler
            assert split == "train" or len(key) == key_motif
        assert pairs[-1][1][0] == task.mask
        fillers = row == task.filler
        assert not fillers[fillers.sum() :].any()  # they are all on the left
        assert fillers.sum() <= 2 * (key_motif + value_motif)


def test_lengths_and_keys_are_uniform_in_training() -> None:
    task = FuzzyRecall(16, 32, 3, 2)
    rows = task.draw(np.random.default_rng(0), 4000, "train").tokens
    firsts = [pairs_of(task, row)[0] for row in rows]
    lengths = np.bincount([len(key) for key, _ in firsts], minlength=4)[1:] / 4000
    assert np.abs(lengths - 1 / 3).max() < 0.03
    assert abs(np.mean([len(value) for _, value in firsts]) - 1.5) < 0.03
    pairs = np.bincount([7 * k[0] + k[1] for k, _ in firsts if len(k) > 1], minlength=49).reshape(7, 7)
    assert (np.diag(pairs) == 0).all()
    off = pairs[~np.eye(7, dtype=bool)] / pairs.sum()
    assert np.abs(off - 1 / 42).max() < 0.015


def test_validation_asks_for_more_than_the_last_pair_now_and_then() -> None:
    task = FuzzyRecall(16, 128, 3, 3)
    rows = task.draw(np.random.default_rng(0), 500, "val").tokens
    asked = [sum(value[0] == task.mask for _, value in pairs_of(task, row)) for row in rows]
    assert min(asked) == 1
    assert np.mean(asked) > 1.5


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"key_motif": 8}, ["task.key_motif=8 different tokens cannot be drawn from the 7"]),
        ({"value_motif": 9}, ["task.value_motif=9 different tokens cannot be drawn from the 8"]),
        ({"seq_length": 7}, ["task.seq_length=7 must be at least 8"]),
        (
            {"key_motif": 0, "vocab_size": 2, "train_examples": -1},
            ["key_motif=0", "value_motif=2", "train_examples=-1"],
        ),
    ],
)
def test_settings_without_a_solution_are_all_named(change: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(InputError) as error:
        FuzzyRecall(**change)
    for message in messages:
        assert message in str(error.value)
