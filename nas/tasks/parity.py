"""Parity: is the number of ones in a string of bits odd?"""

from __future__ import annotations

import numpy as np

from nas.tasks.automaton import Automaton
from nas.tasks.state_tracking import StateTracking


class Parity(StateTracking):
    """Parity check of the Chomsky suite (Delétang et al. 2023, arXiv 2207.02098), a regular language.

    A row is a string of random bits and a mask token, where the parity of their sum is asked. Every
    bit counts, so that nothing but all of them tells the answer. See `StateTracking` for lengths and
    the differences.

    Args:
        train_length: bits of the longest string in training; published: 40.
        test_length: bits of the longest string in ``longer``; published: 500.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: rows in each split.

    Raises:
        InputError: a number is not positive, or ``longer`` has no length; all mistakes are named.
    """

    name = "parity"

    def __init__(
        self,
        train_length: int = 16,
        test_length: int = 48,
        train_examples: int | None = None,
        validation_examples: int = 1024,
    ) -> None:
        super().__init__(2, train_length, test_length, train_examples, validation_examples)

    def make_automaton(self, longest: int) -> Automaton:
        """Two states; a one changes between them."""
        return Automaton(np.array([[0, 1], [1, 0]]), np.arange(2), longest)
