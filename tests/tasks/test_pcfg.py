"""The grammar's floor is exact: it is what all rows together say, counted one by one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.seeding import generator
from nas.tasks.base import Answers
from nas.tasks.hierarchy import RandomHierarchy
from nas.tasks.pcfg import ProbabilisticGrammar


def every_row(grammar: RandomHierarchy) -> dict[tuple[int, ...], float]:
    """Return all rows with their probabilities, by replacing every symbol by every rule."""
    rows = dict.fromkeys(((symbol,) for symbol in range(grammar.symbols)), 1.0 / grammar.symbols)
    for rules in grammar.rules:
        after: dict[tuple[int, ...], float] = {}
        for row, chance in rows.items():
            for sides in itertools.product(*(rules[symbol].tolist() for symbol in row)):
                whole = tuple(itertools.chain(*sides))
                share = chance / rules.shape[1] ** len(row)
                after[whole] = after.get(whole, 0.0) + share
        rows = after
    return rows


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([(2, 1, 2, 2), (3, 2, 2, 2), (2, 3, 3, 1), (3, 2, 3, 1), (4, 3, 2, 2), (2, 1, 2, 3)]),
    st.integers(0, 99),
)
def test_posteriors_are_what_all_rows_say(shape: tuple[int, int, int, int], seed: int) -> None:
    grammar = RandomHierarchy(*shape, seed=seed)
    rows = every_row(grammar)
    assert sum(rows.values()) == pytest.approx(1)
    rng = np.random.default_rng(seed)
    tokens = grammar.draw(rng, 8)
    hidden = rng.random(tokens.shape) < 0.5
    found = grammar.posterior(tokens, hidden)
    for row, unseen, said in zip(tokens, hidden, found, strict=True):
        expected = np.zeros_like(said)
        for other, chance in rows.items():
            if all(a == b for a, b, h in zip(row, other, unseen, strict=True) if not h):
                expected[np.arange(len(other)), list(other)] += chance
        np.testing.assert_allclose(said, expected / expected.sum(-1, keepdims=True), atol=1e-12)


def test_rows_have_the_probabilities_of_the_grammar() -> None:
    grammar = RandomHierarchy(3, 2, 2, 2, seed=1)
    expected = every_row(grammar)
    drawn, counts = np.unique(grammar.draw(generator(0, "t"), 60_000), axis=0, return_counts=True)
    assert {tuple(row) for row in drawn.tolist()} <= expected.keys()
    chances = np.array([expected[tuple(row)] for row in drawn.tolist()])
    assert np.abs(counts / 60_000 - chances).max() < 0.004


def test_rules_are_unambiguous() -> None:
    for rules in RandomHierarchy(8, 4, 2, 3, seed=0).rules:
        assert rules.shape == (8, 4, 2)
        assert len({tuple(side) for side in rules.reshape(-1, 2).tolist()}) == 32


def test_the_floor_is_the_entropy_and_excess_is_above_it(make_task: Any) -> None:
    task = make_task("pcfg", symbols=6, rules=3, levels=3, validation_examples=2000)
    rows = task._fixed("val")
    likely = task.grammar.posterior(rows.tokens, rows.tokens == task.mask)
    asked = np.take_along_axis(likely, rows.asked[..., None].astype(int), axis=1)
    entropy = -(asked * np.log(np.maximum(asked, 1e-300))).sum(-1).mean()
    assert task.floors["val"] == pytest.approx(entropy, abs=0.02)  # right answers are drawn
    assert 0.1 < task.floors["val"] < np.log(6)
    scores, perfect = task.scores(), task.scores()
    for batch in task.batches("val", 500):
        places = batch.positions // task.seq_length
        chance = torch.zeros(len(batch.labels), task.num_answers)
        scores.add(Answers(chance, batch.labels, places))
    logits = torch.from_numpy(np.log(asked.reshape(-1, 6) + 1e-30)).float()
    extended = torch.cat([logits, torch.full((len(logits), 1), -100.0)], dim=1)
    labels = torch.from_numpy(rows.labels.astype(np.int64).ravel())
    perfect.add(Answers(extended, labels, torch.arange(len(labels)) // rows.labels.shape[1]))
    assert scores.metrics("val")["val/excess"] == pytest.approx(np.log(7) - task.floors["val"], abs=1e-5)
    assert perfect.metrics("val")["val/excess"] == pytest.approx(0, abs=1e-5)


def test_every_row_hides_the_same_number(make_task: Any) -> None:
    task = make_task("pcfg")
    batch = task.train_batch(0, 16, 0)
    assert ((batch.inputs["input_word_ids"] == task.mask).sum(1) == 10).all()
    assert batch.labels.max() < 16


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"rules": 16}, ["task.rules=16 must be below task.symbols ** (task.branching - 1) = 16"]),
        ({"mask_rate": 1.0, "levels": 0}, ["task.mask_rate=1.0", "task.levels=0 must be at least 1"]),
        ({"symbols": 1}, ["task.symbols=1 must be at least 2"]),
        ({"symbols": 5000}, ["5000 ** task.branching=2 must be at most"]),
    ],
)
def test_grammars_that_are_none(change: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(InputError) as error:
        ProbabilisticGrammar(**change)
    for message in messages:
        assert message in str(error.value)
