"""Noisy in-context recall: pairs of noise between those that count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.tasks.in_context_recall import InContextRecall
from nas.tasks.noisy_recall import NoisyRecall
from nas.tasks.scoring import IGNORED


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 20), st.integers(1, 9), st.floats(0, 0.99), st.integers(2, 20), st.integers(0, 2**32))
def test_rows_are_solvable_from_what_is_visible(
    known: int, noise: int, rate: float, pairs: int, seed: int
) -> None:
    task = NoisyRecall(known + noise, noise, rate, 2 * pairs)
    rows = task.draw(np.random.default_rng(seed), 16, "train")
    for row, places, labels in zip(rows.tokens, rows.asked, rows.labels, strict=True):
        shown = {k: v for k, v in zip(row[0::2], row[1::2], strict=True) if v != task.mask and v < known}
        wanted = labels != IGNORED
        assert [shown[key] for key in row[places[wanted] - 1]] == list(labels[wanted])
        noisy = (row[0::2] >= known) & (row[0::2] < task.mask)
        assert (row[1::2][noisy] >= known).all()
        assert (row[1::2][noisy] < task.mask).all()  # noise is never asked for
        assert (row[0::2][~noisy] < known // 2).all()
        assert row[-1] == task.mask


def test_noise_has_its_share_and_is_uniform() -> None:
    task = NoisyRecall(32, 16, 0.2, 64)
    tokens = task.draw(np.random.default_rng(0), 5000, "train").tokens
    noise = tokens[(tokens >= 16) & (tokens < 32)]
    share = noise.size / 2 / 5000
    assert abs(share - 0.2 * 30) < 0.1  # of 32 pairs, one and the last are never noise
    assert np.abs(np.bincount(noise - 16, minlength=16) / noise.size - 1 / 16).max() < 0.004


def test_without_noise_it_is_in_context_recall() -> None:
    noisy = NoisyRecall(20, 4, 0.0, 32).draw(np.random.default_rng(3), 8, "train")
    plain = InContextRecall(16, 32).draw(np.random.default_rng(3), 8, "train")
    assert (noisy.labels == plain.labels).all()
    assert (np.where(noisy.tokens == 20, 16, noisy.tokens) == plain.tokens).all()


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"noise_vocab_size": 30}, ["two keys and two values beside task.noise_vocab_size=30, not 2"]),
        ({"noise_rate": 1.0}, ["task.noise_rate=1.0"]),
        ({"noise_rate": -0.1, "noise_vocab_size": 0}, ["noise_rate=-0.1", "noise_vocab_size=0"]),
        ({"seq_length": 3, "validation_examples": 0}, ["be even", "at least 4", "validation_examples=0"]),
    ],
)
def test_settings_without_a_solution_are_all_named(change: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(InputError) as error:
        NoisyRecall(**change)
    for message in messages:
        assert message in str(error.value)
