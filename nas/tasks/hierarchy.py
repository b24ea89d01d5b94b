"""A probabilistic grammar whose trees all have one shape, and exact inference in it.

Legend: B rows, L levels, v symbols of a level, m rules of a symbol, s symbols on a rule's right side.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from nas.seeding import generator

Ids = NDArray[np.int64]
Weights = NDArray[np.float64]


class RandomHierarchy:
    """The Random Hierarchy Model (Cagnetta et al. 2024, arXiv 2307.02129).

    A row begins with a symbol, all alike in probability. At every level, each symbol is replaced by the
    right side of one of its m rules, all alike; so a row has s ** L tokens. Every level has rules of
    its own, drawn once by a seed; no two of a level have the same right side, so that what a tuple
    stands for is never ambiguous.

    Args:
        symbols: v.
        rules: m, at most v ** (s - 1): with so many all tuples are right sides, and tokens are independent.
        branching: s.
        levels: L.
        seed: of the rules.
    """

    def __init__(self, symbols: int, rules: int, branching: int, levels: int, seed: int) -> None:
        self.symbols = symbols
        self.levels = levels
        self.branching = branching
        self.rules = [self._drawn(generator(seed, "hierarchy", level), rules) for level in range(levels)]
        """For each level [v, m, s]."""

    def _drawn(self, rng: np.random.Generator, rules: int) -> Ids:
        """Draw which tuples are right sides, without repetition, and whose."""
        v, s = self.symbols, self.branching
        codes = rng.choice(v**s, size=v * rules, replace=False)
        digits = codes[:, None] // v ** np.arange(s)[::-1] % v
        drawn: Ids = digits.reshape(v, rules, s)
        return drawn

    def draw(self, rng: np.random.Generator, count: int) -> Ids:
        """Make rows [count, s ** L]."""
        row = rng.integers(self.symbols, size=(count, 1))
        for rules in self.rules:
            chosen = rng.integers(rules.shape[1], size=row.shape)
            row = rules[row, chosen].reshape(count, -1)
        return row

    def posterior(self, tokens: Ids, hidden: NDArray[np.bool_]) -> Weights:
        """Return how likely each symbol is at every place, given the visible ones: [B, T, v].

        Belief propagation over the tree, exact: first what the tokens below say of each symbol
        (inside), then what all others say (outside). What stands at a place itself counts only where
        it is visible.

        Args:
            tokens: [B, T]; what stands at hidden places does not matter.
            hidden: [B, T].
        """
        seen = np.eye(self.symbols)[np.where(hidden, 0, tokens)]
        inside = [np.where(hidden[..., None], 1.0, seen)]
        for rules in reversed(self.rules):
            inside.append(self._upwards(inside[-1], rules))
        outside = np.ones_like(inside[-1])
        for rules, below in zip(self.rules, inside[-2::-1], strict=True):
            outside = self._downwards(outside, below, rules)
        return _normed(inside[0] * outside)

    def _upwards(self, below: Weights, rules: Ids) -> Weights:
        """Map the inside of a level [B, N * s, v] to that of the level above [B, N, v]."""
        return _normed(functools.reduce(np.multiply, self._of_rules(self._children(below), rules)).sum(-1))

    def _downwards(self, above: Weights, below: Weights, rules: Ids) -> Weights:
        """Map the outside of a level [B, N, v] and the inside of its children to their outside."""
        said = self._of_rules(self._children(below), rules)
        parts = []
        for child in range(self.branching):
            others = above[..., None]  # [B, N, v, 1], then m
            for other in range(self.branching):
                others = others if other == child else others * said[other]
            rows, nodes = others.shape[:2]
            flat, made = others.reshape(rows * nodes, -1), rules[..., child].ravel()
            parts.append((flat @ np.eye(self.symbols)[made]).reshape(rows, nodes, self.symbols))
        return _normed(np.stack(parts, axis=2).reshape(below.shape))

    def _children(self, below: Weights) -> Weights:
        """Return [B, N, s, v] of [B, N * s, v]."""
        rows, count, symbols = below.shape
        return below.reshape(rows, count // self.branching, self.branching, symbols)

    def _of_rules(self, children: Weights, rules: Ids) -> list[Weights]:
        """Return what each child says of the symbol that each rule wants of it: s times [B, N, v, m]."""
        return [children[:, :, k][:, :, rules[..., k]] for k in range(self.branching)]


def _normed(weights: Weights) -> Weights:
    """Scale so that the last axis sums to one; only ratios matter, and products do not vanish."""
    scaled: Weights = weights / weights.sum(-1, keepdims=True)
    return scaled
