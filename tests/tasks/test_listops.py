"""ListOps: values, depths and lengths are what a slow evaluator of the tokens says."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.tasks.generated import Rows
from nas.tasks.list_trees import END, OPERATORS
from nas.tasks.listops import MASK, ListOps, paired


class Tree(NamedTuple):
    """What is known of an expression."""

    value: int
    depth: int  # levels that the value depends on
    levels: int
    widest: int  # most arguments
    narrowest: int


DIGIT = (1, 1, 2, 2)


def parsed(tokens: list[int]) -> Tree:
    """Evaluate an expression recursively, from its tokens."""
    found, rest = _tree(tokens)
    assert rest == []
    return found


def _tree(tokens: list[int]) -> tuple[Tree, list[int]]:
    head, rest = tokens[0], tokens[1:]
    if head < 10:
        return Tree(head, *DIGIT), rest
    assert 10 <= head < END
    args: list[Tree] = []
    while rest[0] != END:
        arg, rest = _tree(rest)
        args.append(arg)
    value, depth = _result(OPERATORS[head - 10], args)
    counts = [len(args)]
    return (
        Tree(
            value,
            depth + 1,
            1 + max(arg.levels for arg in args),
            max(counts + [arg.widest for arg in args]),
            min(counts + [arg.narrowest for arg in args]),
        ),
        rest[1:],
    )


def _result(operator: str, args: list[Tree]) -> tuple[int, int]:
    if operator == "SM":
        return sum(arg.value for arg in args) % 10, max(arg.depth for arg in args)
    if operator == "MED":
        ordered = sorted((arg.value, arg.depth) for arg in args)
        middle = [ordered[(len(args) - 1) // 2], ordered[len(args) // 2]]
        return int(np.median([arg.value for arg in args])), max(depth for _, depth in middle)
    value = (min if operator == "MIN" else max)(arg.value for arg in args)
    return value, min(arg.depth for arg in args if arg.value == value)


def expressions(rows: Rows) -> list[list[int]]:
    assert rows.mask is not None
    found = []
    for tokens, place, real in zip(rows.tokens, rows.asked[:, 0], rows.mask, strict=True):
        assert real.sum() == place + 1
        assert real[: place + 1].all()
        assert (tokens[place:] == MASK).all()  # the slot, and padding
        found.append(tokens[:place].tolist())
    return found


def drawn(task: ListOps, split: str, count: int, seed: int = 0) -> tuple[Rows, list[list[int]], list[Tree]]:
    rows = task.draw(np.random.default_rng(seed), count, split)
    words = expressions(rows)
    return rows, words, [parsed(word) for word in words]


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0.1, 0.6),
    st.integers(2, 5),
    st.integers(2, 4),
    st.integers(0, 20),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_labels_are_what_a_slow_evaluator_says(
    p_op: float, args: int, depth: int, more: int, balanced: bool, seed: int
) -> None:
    longest = 3 * (depth + 1) + 4 + more
    task = ListOps(p_op, args, depth, [depth + 1, depth + 1], 4, longest, balanced)
    for split in ("train", "val", "deeper"):
        rows, words, trees = drawn(task, split, 24, seed)
        assert rows.tokens.shape == (24, task.seq_length)
        assert [tree.value for tree in trees] == rows.labels[:, 0].tolist()
        assert all(4 <= len(word) <= longest for word in words)
        assert all(2 <= tree.narrowest <= tree.widest <= args for tree in trees)
        if split == "deeper":
            assert all(tree.depth == tree.levels == depth + 1 for tree in trees)
        else:
            assert all(2 <= tree.depth <= tree.levels <= depth for tree in trees)


def test_depths_values_operators_and_arguments_are_spread_evenly() -> None:
    task = ListOps(max_depth=4, deeper=[5, 6])
    for split, depths in {"train": [2, 3, 4], "deeper": [5, 6]}.items():
        rows, _, trees = drawn(task, split, 3000)
        of_depths = np.bincount([tree.depth for tree in trees])[depths] / 3000
        assert np.abs(of_depths - 1 / len(depths)).max() < 0.03
        assert np.abs(np.bincount(rows.labels[:, 0]) / 3000 - 0.1).max() < 0.02


def test_unbalanced_trees_grow_as_in_the_published_process() -> None:
    """The share of lists among the arguments of the root, the arguments of a list, and the operators."""
    task = ListOps(0.25, 10, 3, None, 4, 200, balanced=False)
    _, words, _ = drawn(task, "val", 4000)
    assert np.abs(np.bincount([word[0] for word in words])[10:] / 4000 - 0.25).max() < 0.03
    flat = [len(word) - 2 for word in words if sum(token >= 10 for token in word) == 2]
    counts = np.bincount(flat, minlength=11)[2:]
    law = 0.75 ** np.arange(2, 11)  # all of them digits
    assert np.abs(counts / counts.sum() - law / law.sum()).max() < 0.04
    lists = sum(10 <= token < END for word in words for token in word) - len(words)
    assert lists / (6 * 4000) == pytest.approx(0.25, rel=0.05)


def test_long_range_arena(make_task: Any) -> None:
    task = make_task("listops_lra", validation_examples=8, train_examples=16)
    assert task.splits == ("val",)
    (batch,) = task.batches("val", 8)
    lengths = batch.inputs["input_mask"].sum(1) - 1
    assert lengths.min() > 500
    assert lengths.max() < 2000
    for words, label, length in zip(batch.inputs["input_word_ids"], batch.labels, lengths, strict=True):
        assert parsed(words[:length].tolist()).value == label


def test_neural_data_router(make_task: Any) -> None:
    task = make_task("listops_ndr", validation_examples=8, train_examples=16)
    assert task.depths == {"val": [2, 6], "deeper": [8, 9]}
    (batch,) = task.batches("deeper", 8)
    lengths = batch.inputs["input_mask"].sum(1) - 1
    assert lengths.max() <= 50
    for words, label, length in zip(batch.inputs["input_word_ids"], batch.labels, lengths, strict=True):
        tree = parsed(words[:length].tolist())
        assert tree.depth in (8, 9)
        assert tree.value == label


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1), st.lists(st.integers(-1, 4), min_size=1))
def test_each_is_given_away_once(wanted: list[int], offered: list[int]) -> None:
    chosen = paired(np.array(wanted), np.array(offered))
    given_away = chosen[chosen >= 0].tolist()
    assert len(set(given_away)) == len(given_away)
    for want, choice in zip(wanted, chosen, strict=True):
        assert choice == -1 or offered[choice] == want
    for kind in range(5):
        both = min(wanted.count(kind), offered.count(kind))
        assert sum(want == kind and choice >= 0 for want, choice in zip(wanted, chosen, strict=True)) == both


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"max_length": 9}, ["task.max_length=9 must be at least 10 for task.deeper (4)"]),
        ({"max_length": 6}, ["at least 7 for task.max_depth (3)", "at least 10 for task.deeper (4)"]),
        ({"deeper": [3, 4]}, ["task.deeper=[3, 4] must go from more than task.max_depth=3"]),
        ({"deeper": [5, 4]}, ["task.deeper=[5, 4]"]),
        ({"deeper": [5]}, ["task.deeper=[5] must be two depths"]),
        ({"p_op": 1.0, "max_args": 1, "max_depth": 1}, ["p_op=1.0", "max_args=1", "max_depth=1"]),
        ({"min_length": 18}, ["task.min_length=18 is more than the 17 tokens"]),
        ({"min_length": 40}, ["more than the 17", "min_length=40 is more than task.max_length=32"]),
        ({"validation_examples": 0, "train_examples": -1}, ["validation_examples=0", "train_examples=-1"]),
    ],
)
def test_settings_without_a_solution_are_all_named(change: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(InputError) as error:
        ListOps(**{"deeper": [4, 4], **change})
    assert len(error.value.mistakes) == len(messages)
    for message in messages:
        assert message in str(error.value)


def test_settings_with_hardly_any_solution_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.tasks.listops.GIVE_UP", 1000)
    task = ListOps(p_op=0.0, max_depth=3, deeper=None, min_length=17)
    with pytest.raises(InputError, match=r"no more expressions for split val.*task\.p_op=0\.0"):
        task.draw(np.random.default_rng(0), 10, "val")
