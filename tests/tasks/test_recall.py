"""What the masked recall tasks share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.tasks.fuzzy_recall import FuzzyRecall
from nas.tasks.in_context_recall import InContextRecall
from nas.tasks.mqar import MultiQueryAssociativeRecall
from nas.tasks.noisy_recall import NoisyRecall
from nas.tasks.recall import MaskedRecall, first_places
from nas.tasks.scoring import IGNORED

TASKS: tuple[type[MaskedRecall], ...] = (InContextRecall, NoisyRecall, FuzzyRecall)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 2**32))
def test_first_places_are_those_that_a_search_finds(length: int, kinds: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, kinds, (7, length))
    expected = [[list(row).index(code) for code in row] for row in codes]
    assert first_places(codes).tolist() == expected


@pytest.mark.parametrize("kind", TASKS)
def test_what_is_asked_is_what_is_hidden(kind: type[MaskedRecall]) -> None:
    task = kind()  # type: ignore[call-arg]
    for split in ("train", "val"):
        rows = task.draw(np.random.default_rng(0), 200, split)
        asked = rows.labels != IGNORED
        shown = np.take_along_axis(rows.tokens, rows.asked, axis=1)
        assert ((shown == task.mask) == asked).all()
        assert ((rows.tokens == task.mask).sum(axis=1) == asked.sum(axis=1)).all()
        assert asked.any(axis=1).all()
        assert rows.labels.max() < task.mask == task.vocab_size - 1
        assert rows.asked.shape == rows.labels.shape == (200, task.most)


@pytest.mark.parametrize("kind", TASKS)
def test_the_cost_is_that_of_the_places_that_are_scored(kind: type[MaskedRecall]) -> None:
    task = kind()  # type: ignore[call-arg]
    assert task.head_flops_per_token(64) == 2 * 64 * task.vocab_size * task.most / task.seq_length


@pytest.mark.parametrize("kind", [*TASKS, MultiQueryAssociativeRecall])
def test_reports_can_tell_that_scores_are_not_the_published_ones(kind: type[MaskedRecall]) -> None:
    assert "not comparable" in kind.note
    assert "not comparable" in str(kind.__doc__).replace("\n    ", " ")
