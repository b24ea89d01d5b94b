"""Parity, cycle navigation, modular arithmetic: answers are right and balanced, lengths are as told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.tasks.cycle_nav import CycleNavigation
from nas.tasks.generated import Rows
from nas.tasks.modular_arithmetic import ModularArithmetic
from nas.tasks.parity import Parity
from nas.tasks.state_tracking import StateTracking

KINDS: dict[str, type[Any]] = {"parity": Parity, "cycle_nav": CycleNavigation, "modular": ModularArithmetic}


def answer(task: StateTracking, word: list[int]) -> int:
    """What is right, computed in another way than by an automaton."""
    if isinstance(task, Parity):
        return word.count(1) % 2
    if isinstance(task, CycleNavigation):
        return 3 + (word.count(2) - word.count(0)) % task.cycle_length
    assert isinstance(task, ModularArithmetic)
    signs = {task.modulus + i: sign for i, sign in enumerate("+-*")}
    return int(eval("".join(signs.get(token, str(token)) for token in word))) % task.modulus


def drawn(task: StateTracking, split: str, count: int = 64, seed: int = 0) -> Rows:
    return task.draw(np.random.default_rng(seed), count, split)


def lengths(rows: Rows) -> Any:
    assert rows.mask is not None
    return rows.mask.sum(axis=1) - 1


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)),
    st.integers(2, 7),
    st.integers(1, 20),
    st.integers(2, 20),
    st.integers(0, 2**32),
)
def test_labels_are_what_a_slow_evaluator_says(
    name: str, size: int, train: int, more: int, seed: int
) -> None:
    sized = {"parity": {}, "cycle_nav": {"cycle_length": size}, "modular": {"modulus": size}}[name]
    task = KINDS[name](**sized, train_length=train, test_length=train + more)
    for split in ("train", "val", "longer"):
        rows = drawn(task, split, 32, seed)
        assert rows.tokens.shape[1] == (task.longest if split == "longer" else task.seq_length)
        for tokens, place, label, length in zip(
            rows.tokens, rows.asked, rows.labels, lengths(rows), strict=True
        ):
            assert answer(task, tokens[:length].tolist()) == label
            assert place == length
            assert (tokens[length:] == task.mask).all()  # the slot, and padding
            assert (tokens[:length] != task.mask).all()
        assert (lengths(rows) <= train).all() == (split != "longer")
        assert (lengths(rows) > train).all() == (split == "longer")


@pytest.mark.parametrize("name", KINDS)
def test_lengths_are_even_and_answers_balanced_in_each(name: str) -> None:
    task = KINDS[name](train_length=8, test_length=12)
    rows = drawn(task, "train", 40_000)
    step = task.symbol_tokens
    counts = np.bincount(lengths(rows))
    possible = np.arange(1, 9, step)
    assert np.flatnonzero(counts).tolist() == possible.tolist()
    assert np.abs(counts[possible] / 40_000 - 1 / len(possible)).max() < 0.012
    for length in possible[1:]:
        labels = rows.labels[lengths(rows) == length, 0] - task.first_answer
        share = np.bincount(labels) / len(labels)
        assert np.abs(share - 1 / len(share)).max() < 0.03, length


def test_words_of_a_length_and_an_answer_are_equally_likely() -> None:
    rows = drawn(CycleNavigation(train_length=3, test_length=4), "train", 60_000)
    three = rows.tokens[lengths(rows) == 3][:, :3]
    ends = rows.labels[lengths(rows) == 3, 0]
    for end in range(3, 8):
        words, counts = np.unique(three[ends == end], axis=0, return_counts=True)
        allowed = [w for w in np.ndindex(3, 3, 3) if 3 + (sum(w) - 3) % 5 == end]
        assert words.tolist() == [list(word) for word in allowed]
        assert np.abs(counts / counts.mean() - 1).max() < 0.15


def test_an_expression_begins_and_ends_with_a_digit() -> None:
    rows = drawn(ModularArithmetic(train_length=8, test_length=20), "longer")
    for tokens, length in zip(rows.tokens, lengths(rows), strict=True):
        assert length % 2 == 1
        assert (tokens[:length:2] < 5).all()
        assert ((tokens[1:length:2] >= 5) & (tokens[1:length:2] < 8)).all()


@pytest.mark.parametrize("name", KINDS)
def test_the_published_lengths(name: str, make_task: Any) -> None:
    preset = {"modular": "modular_arithmetic"}.get(name, name) + "_chomsky"
    task = make_task(preset, validation_examples=16)
    (batch,) = task.batches("longer", 16)
    assert batch.inputs["input_word_ids"].shape == (16, task.longest)
    assert task.longest in (500, 501)
    assert task.seq_length in (40, 41)


@pytest.mark.parametrize(
    ("kind", "change", "messages"),
    [
        (Parity, {"train_length": 0}, ["task.train_length=0 must be at least 1"]),
        (Parity, {"train_length": 48}, ["task.test_length=48 must be at least 49", "longer"]),
        (
            ModularArithmetic,
            {"train_length": 15, "test_length": 16},
            ["task.test_length=16 must be at least 17"],
        ),
        (
            CycleNavigation,
            {"cycle_length": 1, "train_length": -3, "test_length": 1, "validation_examples": 0},
            [
                "cycle_length=1",
                "train_length=-3",
                "test_length=1 must be at least 2",
                "validation_examples=0",
            ],
        ),
        (
            ModularArithmetic,
            {"modulus": 11, "train_examples": 0},
            ["task.modulus=11", "task.train_examples=0"],
        ),
    ],
)
def test_settings_without_a_solution_are_all_named(
    kind: type[Any], change: dict[str, Any], messages: list[str]
) -> None:
    with pytest.raises(InputError) as error:
        kind(**change)
    assert len(error.value.mistakes) == max(1, len(messages) - (kind is Parity and len(messages) == 2))
    for message in messages:
        assert message in str(error.value)
