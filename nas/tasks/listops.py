"""ListOps: evaluate nested MIN, MAX, MED and SM of digits."""

from __future__ import annotations

import numpy as np

from nas.errors import InputError
from nas.heads import TokenHead
from nas.tasks.base import VALIDATION
from nas.tasks.generated import GeneratedTask, Ids, Rows
from nas.tasks.lengths import asked_after
from nas.tasks.list_trees import DEEPEST, DIGITS, END, Forest, Growth

DEEPER = "deeper"
MASK = END + 1
AT_ONCE = 2**20  # tokens of the trees that are grown at once
GIVE_UP = 2**20  # trees in which nothing was found


class ListOps(GeneratedTask):
    """ListOps (Nangia and Bowman 2018, arXiv 1804.06028): ``[MAX 2 9 [MIN 4 7 ] 0 ]`` is 9.

    A row is an expression of single digits and a mask token, where its value is asked. A digit is a
    tree of depth 1. With ``balanced``, depths and values are spread evenly, and a row's depth is
    that on which its value depends, after the Neural Data Router (Csordás et al. 2022, arXiv
    2110.07732): in ``[MAX 9 [MIN 1 2 ] ]`` it is 2, since the inner list may be anything. Rows of
    ``deeper`` have more levels than any training row, and are no longer. Without ``balanced``,
    expressions come as they grow: the Long Range Arena (Tay et al. 2021, arXiv 2011.04006).

    Differences: values are balanced too (there, only depths); of equal arguments the shallowest
    decides; deep trees grow from the root around one deep branch (there, around an expression that
    is not deep enough); an opening bracket and its operator are one token in the length too;
    expressions may come twice.

    Args:
        p_op: the chance of an argument to be a list.
        max_args: a list has 2 to so many arguments, evenly.
        max_depth: levels of the deepest training rows.
        deeper: levels of the rows of split ``deeper``, from and to; null: no such split.
        min_length: tokens of the shortest expression.
        max_length: tokens of the longest expression.
        balanced: spread depths and values evenly.
        train_examples: how many training rows there are; null makes new ones forever.
        validation_examples: rows in each split.

    Raises:
        InputError: the settings leave no expression; all reasons are named.
    """

    name = "listops"

    def __init__(
        self,
        p_op: float = 0.3,
        max_args: int = 3,
        max_depth: int = 3,
        deeper: list[int] | None = None,
        min_length: int = 4,
        max_length: int = 32,
        balanced: bool = True,
        train_examples: int | None = None,
        validation_examples: int = 1024,
    ) -> None:
        mistakes = _number_mistakes(p_op, max_args, max_depth, deeper)
        mistakes = mistakes or _size_mistakes(max_args, max_depth, deeper, min_length, max_length)
        super().__init__(train_examples, validation_examples, mistakes)
        self.depths = {VALIDATION: [2, max_depth]} | ({DEEPER: deeper} if deeper else {})
        self.splits = tuple(self.depths)
        self.p_op, self.max_args = p_op, max_args
        self.min_length, self.max_length = min_length, max_length
        self.balanced = balanced
        self.vocab_size = MASK + 1
        self.seq_length = max_length + 1

    def draw(self, rng: np.random.Generator, count: int, split: str) -> Rows:
        """Make rows; those of ``deeper`` depend on more levels than any other.

        Raises:
            InputError: hardly any expression fits the settings.
        """
        least, most = self.depths.get(split, self.depths[VALIDATION])
        growth = Growth(self.p_op, self.max_args, most, self.max_length)
        depths = rng.integers(least, most + 1, count) if self.balanced else np.full(count, least)
        kinds = (
            depths * DIGITS + rng.integers(0, DIGITS, count) if self.balanced else np.zeros(count, np.int64)
        )
        tokens = np.zeros((count, self.max_length), np.int64)
        lengths, values = np.zeros((2, count), np.int64)
        open_rows, in_vain, trees = np.arange(count), 0, max(8 * count, 256)
        while len(open_rows):
            trees = min(trees, max(AT_ONCE // self.max_length, 64))
            forest = Forest(rng, np.resize(depths[open_rows], trees), growth)
            chosen = paired(kinds[open_rows], self._kinds(forest, least))
            found, chosen = open_rows[chosen >= 0], chosen[chosen >= 0]
            tokens[found] = forest.tokens(chosen, self.max_length)
            lengths[found], values[found] = forest.lengths[chosen], forest.values[chosen]
            in_vain = 0 if len(found) else in_vain + trees
            trees = 2 * trees if 2 * len(found) < len(open_rows) else trees
            if in_vain > GIVE_UP:
                raise self._hopeless(split)
            open_rows = np.setdiff1d(open_rows, found, assume_unique=True)
        return asked_after(tokens, lengths, values, MASK, self.seq_length)

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the operations of projecting the slot, averaged over all tokens."""
        return TokenHead.flops(hidden_size, self.vocab_size) / self.seq_length

    def _kinds(self, forest: Forest, least: int) -> Ids:
        """Return what rows of each tree's kind ask for, [trees]; -1 for a tree that fits none."""
        fits = forest.whole & (forest.lengths >= self.min_length) & (forest.depths >= least)
        kinds = forest.depths * DIGITS + forest.values if self.balanced else np.zeros_like(forest.values)
        return np.where(fits, kinds, -1)

    def _hopeless(self, split: str) -> InputError:
        return InputError(
            f"task=listops finds no more expressions for split {split}: too few have "
            f"task.min_length={self.min_length} to task.max_length={self.max_length} tokens, "
            f"task.p_op={self.p_op} and task.max_args={self.max_args}"
        )


def paired(wanted: Ids, offered: Ids) -> Ids:
    """Return for each of ``wanted`` [R] the number of an equal one of ``offered`` [N], or -1.

    Each is given away once, in order.
    """
    turns = len(wanted) + len(offered)
    asks, bids = wanted * turns + _turns(wanted), offered * turns + _turns(offered)
    order = np.argsort(bids)
    place = np.searchsorted(bids, asks, sorter=order).clip(max=len(bids) - 1)
    return np.where(bids[order[place]] == asks, order[place], -1)


def _turns(kinds: Ids) -> Ids:
    """Return how many equal ones come before each."""
    order = np.argsort(kinds, kind="stable")
    ordered = kinds[order]
    turns = np.empty_like(order)
    turns[order] = np.arange(len(kinds)) - np.searchsorted(ordered, ordered)
    return turns


def _number_mistakes(p_op: float, max_args: int, max_depth: int, deeper: list[int] | None) -> list[str]:
    mistakes = []
    if not 0 <= p_op < 1:
        mistakes.append(f"task.p_op={p_op} must be at least 0 and below 1")
    if max_args < 2:
        mistakes.append(f"task.max_args={max_args} must be at least 2")
    if not 2 <= max_depth <= DEEPEST:
        mistakes.append(f"task.max_depth={max_depth} must be from 2 (a list of digits) to {DEEPEST}")
    if deeper is not None and len(deeper) != 2:
        mistakes.append(f"task.deeper={deeper} must be two depths, from and to, or null")
    elif deeper is not None and not max_depth < deeper[0] <= deeper[1] <= DEEPEST:
        mistakes.append(
            f"task.deeper={deeper} must go from more than task.max_depth={max_depth} upwards, "
            f"to at most {DEEPEST}"
        )
    return mistakes


def _size_mistakes(
    max_args: int, max_depth: int, deeper: list[int] | None, min_length: int, max_length: int
) -> list[str]:
    """Say which lengths leave no tree: the smallest is a chain of lists of two, the largest is full."""
    mistakes = []
    for key, depth in {"max_depth": max_depth, "deeper": deeper[1] if deeper else 0}.items():
        if max_length < (needed := 3 * depth - 2):
            mistakes.append(
                f"task.max_length={max_length} must be at least {needed} for task.{key} ({depth})"
            )
    largest = 1
    for _ in range(max_depth - 1):
        largest = min(2 + max_args * largest, max(min_length, 1))
    if min_length > largest:
        mistakes.append(
            f"task.min_length={min_length} is more than the {largest} tokens that "
            f"task.max_args={max_args} and task.max_depth={max_depth} make"
        )
    if min_length > max_length:
        mistakes.append(f"task.min_length={min_length} is more than task.max_length={max_length}")
    return mistakes
