"""Modular arithmetic: the value of a sum of products, modulo a small number."""

from __future__ import annotations

import numpy as np

from nas.tasks.automaton import Automaton
from nas.tasks.generated import Ids
from nas.tasks.state_tracking import StateTracking

PLUS, MINUS, TIMES = range(3)
LARGEST = 10


class ModularArithmetic(StateTracking):
    """Modular arithmetic without brackets of the Chomsky suite (Delétang et al. 2023, arXiv 2207.02098).

    A row is an expression such as ``1 + 2 * 3 - 4`` of random digits below m and operators, and a mask
    token, where its value modulo m is asked. Products come before sums, so that an automaton needs
    m * m states: the sum so far and the product that is not yet added. Expressions have an odd number
    of tokens. Digits are the tokens 0 to m - 1, operators the three after them. See `StateTracking` for
    lengths and the differences.

    Args:
        modulus: m.
        train_length: tokens of the longest expression in training; published: 40, which means 39.
        test_length: tokens of the longest expression in ``longer``; published: 500, which means 499.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: rows in each split.

    Raises:
        InputError: a number is out of range, or ``longer`` has no length; all mistakes are named.
    """

    name = "modular_arithmetic"
    symbol_tokens = 2

    def __init__(
        self,
        modulus: int = 5,
        train_length: int = 16,
        test_length: int = 48,
        train_examples: int | None = None,
        validation_examples: int = 1024,
    ) -> None:
        mistakes = []
        if not 2 <= modulus <= LARGEST:
            mistakes.append(f"task.modulus={modulus} must be from 2 to {LARGEST}")
        super().__init__(
            modulus + 3, train_length, test_length, train_examples, validation_examples, mistakes
        )
        self.modulus = modulus

    def make_automaton(self, longest: int) -> Automaton:
        """A symbol is an operator with the digit after it; the first one's operator does not count.

        States are sum * m + product, and a last one for the beginning.
        """
        m = self.modulus
        total, product, operator, digit = np.ogrid[:m, :m, :3, :m]
        new_total = np.where(operator == TIMES, total, (total + product) % m)
        factors = np.where(operator == TIMES, product * digit, np.where(operator == MINUS, -digit, digit))
        moves = (new_total * m + factors % m).reshape(m * m, 3 * m)
        values = np.add.outer(np.arange(m), np.arange(m)).ravel() % m
        first = np.tile(np.arange(m), 3)
        return Automaton(np.vstack([moves, first]), np.append(values, 0), longest, start=m * m)

    def written(self, words: Ids) -> Ids:
        """Return operators and digits in turn, beginning with a digit."""
        operator, digit = np.divmod(words, self.modulus)
        both = np.stack([self.modulus + operator, digit], axis=2)
        return both.reshape(len(words), -1)[:, 1:]
