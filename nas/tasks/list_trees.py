"""Random expressions of list operations: a forest of trees, grown and evaluated level by level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.tasks.generated import Ids

DIGITS = 10
OPERATORS = ("MIN", "MAX", "MED", "SM")
END = DIGITS + len(OPERATORS)
"""Digits are the tokens 0 to 9, operators (with their opening bracket) those after; then the end."""
DEEPEST = 63
"""Levels that a depth below a value in one number has room for."""


@dataclass(frozen=True)
class Level:
    """The nodes of all trees at one distance from the root, those of one parent side by side.

    Attributes:
        tree: [N], the tree of each node.
        parent: [N], its parent, as a number in the level above.
        operator: [N], -1 for a digit.
        digit: [N], random also where there is an operator.
    """

    tree: Ids
    parent: Ids
    operator: Ids
    digit: Ids


@dataclass(frozen=True)
class Growth:
    """How trees grow.

    Attributes:
        p_op: the chance of a node to be an operator; the root always is.
        max_args: an operator has 2 to so many arguments, evenly.
        max_depth: levels, a digit being one.
        max_length: a tree that gets more tokens is given up.
    """

    p_op: float
    max_args: int
    max_depth: int
    max_length: int


class Forest:
    """Random trees of MIN, MAX, MED and SM.

    MED of an even number is the mean of the middle two, rounded down; SM is the sum modulo 10.

    Attributes:
        values: [B], what each tree amounts to.
        depths: [B], the levels that its value depends on: one more than those of the argument that
            decides. For MIN and MAX this is the shallowest of those that are equal, for MED the
            deeper of those in the middle, for SM the deepest.
        lengths: [B], tokens.
        whole: [B], false for trees that were given up: nothing else is right of them.
    """

    def __init__(self, rng: np.random.Generator, needs: Ids, growth: Growth) -> None:
        """Grow trees of at least ``needs`` [B] levels."""
        self._levels, self.whole = _grow(rng, needs, growth)
        self._sizes: list[Ids] = []
        value = depth = np.empty(0, np.int64)
        for number in reversed(range(len(self._levels))):
            value, depth = self._evaluated(number, value, depth)
        self._sizes.reverse()
        self.values, self.depths, self.lengths = value, depth, self._sizes[0]

    def tokens(self, trees: Ids, width: int) -> Ids:
        """Return the tokens [R, width] of some trees [R]; what is behind their length means nothing."""
        written = np.zeros((len(trees), width), np.int64)
        rows = np.full(len(self.lengths), -1)
        rows[trees] = np.arange(len(trees))
        place = np.zeros(len(self.lengths), np.int64)
        for number, level in enumerate(self._levels):
            size = self._sizes[number]
            if number:
                before = size.cumsum() - size
                place = place[level.parent] + 1 + before - before[_firsts(level.parent)][_group(level.parent)]
            row, is_operator = rows[level.tree], level.operator >= 0
            token = np.where(is_operator, DIGITS + level.operator, level.digit)
            chosen, ending = row >= 0, (row >= 0) & is_operator
            written[row[chosen], place[chosen]] = token[chosen]
            written[row[ending], (place + size - 1)[ending]] = END
        return written

    def _evaluated(self, number: int, value: Ids, depth: Ids) -> tuple[Ids, Ids]:
        """Return value and depth of a level's nodes from those of the level below."""
        level = self._levels[number]
        values, depths, sizes = level.digit.copy(), np.ones_like(level.digit), np.ones_like(level.digit)
        if len(value):
            nodes = np.flatnonzero(level.operator >= 0)
            firsts = _firsts(self._levels[number + 1].parent)
            values[nodes], depths[nodes] = _results(level.operator[nodes], value, depth, firsts)
            sizes[nodes] = 2 + np.add.reduceat(self._sizes[-1], firsts)
        self._sizes.append(sizes)
        return values, depths


def _grow(rng: np.random.Generator, needs: Ids, growth: Growth) -> tuple[list[Level], Ids]:
    """Return the levels of trees, and which trees [B] were not given up."""
    levels: list[Level] = []
    tree, parent, need = np.arange(len(needs)), np.zeros(len(needs), np.int64), needs
    tokens, whole = np.ones(len(needs), np.int64), np.ones(len(needs), bool)
    for below in reversed(range(growth.max_depth)):
        grows = (need > 1) | (rng.random(len(tree)) < (growth.p_op if levels else 1.0))
        args = np.where(grows & (below > 0), rng.integers(2, growth.max_args + 1, len(tree)), 0)
        tokens += np.bincount(tree, args + (args > 0), len(tokens)).astype(np.int64)
        still_needed = 3 * np.maximum(needs - len(levels) - 2, 0)
        whole &= tokens + still_needed <= growth.max_length
        args[~whole[tree]] = 0
        operator = np.where(args > 0, rng.integers(0, len(OPERATORS), len(tree)), -1)
        levels.append(Level(tree, parent, operator, rng.integers(0, DIGITS, len(tree))))
        heir = args.cumsum() - args + (rng.random(len(tree)) * args).astype(np.int64)
        parent = np.repeat(np.arange(len(tree)), args)
        if not len(parent):
            break
        heirs = np.zeros(len(parent), np.int64)  # one argument of each has to be as deep as is needed
        heirs[heir[args > 0]] = np.maximum(need[args > 0] - 1, 0)
        tree, need = tree[parent], heirs
    return levels, whole


def _results(operator: Ids, value: Ids, depth: Ids, firsts: Ids) -> tuple[Ids, Ids]:
    """Return what operators [N] make of their arguments, which begin at ``firsts`` [N]."""
    base = DEEPEST + 1
    count = np.diff(firsts, append=len(value))
    group = np.repeat(np.arange(len(firsts)), count) * (base * DIGITS)
    ordered = np.sort(group + value * base + depth) - group
    lower, upper = ordered[firsts + (count - 1) // 2], ordered[firsts + count // 2]
    least = ordered[firsts]
    most = np.maximum.reduceat(value * base + DEEPEST - depth, firsts)
    total = np.add.reduceat(value, firsts) % DIGITS
    values = [least // base, most // base, (lower // base + upper // base) // 2, total]
    depths = [
        least % base,
        DEEPEST - most % base,
        np.maximum(lower % base, upper % base),
        np.maximum.reduceat(depth, firsts),
    ]
    return np.choose(operator, values), 1 + np.choose(operator, depths)


def _firsts(parent: Ids) -> Ids:
    """Return where the children of each parent begin."""
    return np.flatnonzero(np.diff(parent, prepend=-1))


def _group(parent: Ids) -> Ids:
    """Return the number of each child's parent among those that have children."""
    return np.cumsum(np.diff(parent, prepend=parent[:1]) != 0)
