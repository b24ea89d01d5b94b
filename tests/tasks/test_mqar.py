"""Multi-query associative recall: the rows are what the paper's generator makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.progress import silent
from nas.tasks.generated import distinct
from nas.tasks.mqar import MultiQueryAssociativeRecall


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 8), st.integers(0, 10), st.integers(0, 10), st.integers(0, 2**32))
def test_rows_are_solvable_and_only_by_looking_up(pairs: int, wider: int, longer: int, seed: int) -> None:
    vocab, length = 2 * pairs + 2 + wider, 4 * pairs + 2 * longer
    task = MultiQueryAssociativeRecall(vocab, length, pairs)
    batch = task.train_batch(0, 16, seed)
    rows = batch.inputs["input_word_ids"].numpy()
    positions, labels = batch.positions.view(16, pairs).numpy(), batch.labels.view(16, pairs).numpy()
    for number, row in enumerate(rows):
        keys, values = row[0 : 2 * pairs : 2], row[1 : 2 * pairs : 2]
        assert len(set(keys)) == len(set(values)) == pairs
        assert keys.min() >= 1
        assert keys.max() < vocab // 2 <= values.min()
        assert values.max() < vocab
        pairing = dict(zip(keys, values, strict=True))
        asked = positions[number] - number * length
        assert (row[asked] == (task.vocab_size - 1)).all()
        assert [pairing[key] for key in row[asked - 1]] == list(labels[number])
        rest = np.delete(row[2 * pairs :], np.concatenate([asked, asked - 1]) - 2 * pairs)
        assert (rest == 0).all()
        assert len(set(row[asked - 1])) == pairs


def test_gaps_follow_the_power_law(tmp_path: Path) -> None:
    """The first draw has the law's own probabilities: it is Zoology's p, checked with one pair."""
    task = MultiQueryAssociativeRecall(64, 34, 1, power=0.01, validation_examples=40_000)
    task.prepare(tmp_path, silent)
    (batch,) = task.batches("val", 40_000)
    slots = ((batch.positions % 34) - 3) // 2
    law = np.arange(1, 17) ** (0.01 - 1)
    law /= law.sum()
    found = np.bincount(slots.numpy(), minlength=16) / 40_000
    assert np.abs(found - law).max() < 0.01


def test_several_gaps_are_drawn_as_by_choice_without_replacement(tmp_path: Path) -> None:
    task = MultiQueryAssociativeRecall(64, 32, 4, power=0.01, validation_examples=20_000)
    task.prepare(tmp_path, silent)
    (batch,) = task.batches("val", 20_000)
    slots = (((batch.positions % 32) - 9) // 2).numpy()
    found = np.bincount(slots, minlength=12) / 20_000
    law = np.arange(1, 13) ** (0.01 - 1)
    rng = np.random.default_rng(0)
    drawn = [rng.choice(12, 4, replace=False, p=law / law.sum()) for _ in range(20_000)]
    expected = np.bincount(np.concatenate(drawn), minlength=12) / 20_000
    assert np.abs(found - expected).max() < 0.02


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 2**32))
def test_distinct_numbers(count: int, more: int, seed: int) -> None:
    drawn = distinct(np.random.default_rng(seed), 50, count, count + more)
    assert drawn.shape == (50, count)
    assert drawn.min() >= 0
    assert drawn.max() < count + more
    assert all(len(set(row)) == count for row in drawn)


def test_distinct_numbers_are_uniform_in_every_place() -> None:
    drawn = distinct(np.random.default_rng(0), 30_000, 3, 5)
    for place in range(3):
        assert np.abs(np.bincount(drawn[:, place], minlength=5) / 30_000 - 0.2).max() < 0.012


def test_a_fixed_set_is_passed_over_in_epochs(tmp_path: Path) -> None:
    task = MultiQueryAssociativeRecall(train_examples=40)
    task.prepare(tmp_path, silent)
    seen = torch.cat([task.train_batch(step, 10, 0).inputs["input_word_ids"] for step in range(4)])
    again = torch.cat([task.train_batch(step, 10, 1).inputs["input_word_ids"] for step in range(4, 8)])
    assert len(seen.unique(dim=0)) == 40
    assert torch.equal(seen.unique(dim=0), again.unique(dim=0))
    assert not torch.equal(seen, again)
    with pytest.raises(InputError, match=r"trainer\.batch_size=41 is more than the 40 task\.train_examples"):
        task.train_batch(0, 41, 0)


def test_the_vocabulary_covers_the_mask_token() -> None:
    task = MultiQueryAssociativeRecall()
    assert (task.vocab_size, task.seq_length) == (65, 32)
    batch = task.train_batch(0, 4, 0)
    assert (batch.inputs["input_word_ids"].flatten()[batch.positions] == 64).all()
    assert task.head_flops_per_token(64) == 2 * 64 * 65 * 4 / 32


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"num_pairs": 9}, ["task.num_pairs=9 needs task.seq_length of at least 36"]),
        ({"seq_length": 33}, ["task.seq_length=33 must be even"]),
        ({"vocab_size": 9}, ["task.vocab_size=9 has 3 keys", "use at least 10"]),
        ({"power": 0.0, "validation_examples": 0}, ["task.power=0.0", "task.validation_examples=0"]),
        ({"vocab_size": 4, "seq_length": 7}, ["vocab_size=4", "must be even", "at least 16"]),
        ({"train_examples": 0}, ["task.train_examples=0"]),
    ],
)
def test_settings_without_a_solution_are_all_named(change: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(InputError) as error:
        MultiQueryAssociativeRecall(**change)
    for message in messages:
        assert message in str(error.value)
