"""Cycle navigation: where does a walk on a circle end?"""

from __future__ import annotations

import numpy as np

from nas.tasks.automaton import Automaton
from nas.tasks.state_tracking import StateTracking

ACTIONS = np.array([-1, 0, 1])
LARGEST = 64


class CycleNavigation(StateTracking):
    """Cycle navigation of the Chomsky suite (Delétang et al. 2023, arXiv 2207.02098), a regular language.

    A row is a series of random actions (left, stay, right) and a mask token, where the place on the
    circle is asked; the walk begins at 0. Actions are the tokens 0, 1 and 2, places those from 3 on.
    See `StateTracking` for lengths and the differences.

    Args:
        cycle_length: places on the circle.
        train_length: actions of the longest walk in training; published: 40.
        test_length: actions of the longest walk in ``longer``; published: 500.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: rows in each split.

    Raises:
        InputError: a number is out of range, or ``longer`` has no length; all mistakes are named.
    """

    name = "cycle_nav"
    first_answer = len(ACTIONS)

    def __init__(
        self,
        cycle_length: int = 5,
        train_length: int = 16,
        test_length: int = 48,
        train_examples: int | None = None,
        validation_examples: int = 1024,
    ) -> None:
        mistakes = []
        if not 2 <= cycle_length <= LARGEST:
            mistakes.append(f"task.cycle_length={cycle_length} must be from 2 to {LARGEST}")
        symbols = len(ACTIONS) + cycle_length
        super().__init__(symbols, train_length, test_length, train_examples, validation_examples, mistakes)
        self.cycle_length = cycle_length

    def make_automaton(self, longest: int) -> Automaton:
        """One state for each place."""
        places = np.arange(self.cycle_length)
        return Automaton((places[:, None] + ACTIONS) % self.cycle_length, places, longest)
