"""Finite automata, and random words of a given length that end in a given class of states."""

from __future__ import annotations

import numpy as np

from nas.tasks.generated import Ids


class Automaton:
    """A deterministic finite automaton over A symbols, whose S states fall into C classes.

    `words` draws evenly among all words of a length that end in a class. So answers can be balanced,
    which are not so if words are drawn freely, and words be drawn of a language in which they are rare.

    Args:
        moves: [S, A], the state that each symbol leads to.
        classes: [S], the class of each state, from 0.
        longest: symbols of the longest word.
        start: the first state.
    """

    def __init__(self, moves: Ids, classes: Ids, longest: int, start: int = 0) -> None:
        self.moves = moves
        self.start = start
        shares = [np.eye(classes.max() + 1)[classes]]
        for _ in range(longest):
            shares.append(shares[-1][moves].mean(axis=1))
        self._shares = np.stack(shares)  # [symbols left, S, C]: of the words from S that end in C

    def classes(self, rng: np.random.Generator, lengths: Ids) -> Ids:
        """Draw a class [B] for words of ``lengths`` [B], evenly among those that can be reached."""
        share = self._shares[lengths, self.start]
        drawn: Ids = np.where(share > 0, rng.random(share.shape), -1.0).argmax(axis=1)
        return drawn

    def words(self, rng: np.random.Generator, lengths: Ids, classes: Ids) -> Ids:
        """Draw words of ``lengths`` [B] that end in ``classes`` [B], which can be reached.

        Returns:
            [B, N] for N symbols in the longest; what is behind a word's end means nothing.
        """
        state = np.full(len(lengths), self.start)
        drawn = np.empty((len(lengths), int(lengths.max())), np.int64)
        for place in range(drawn.shape[1]):
            left = np.maximum(lengths - place - 1, 0)
            following = self.moves[state]
            shares = self._shares[left[:, None], following, classes[:, None]].cumsum(axis=1)
            level = rng.random(len(lengths)) * shares[:, -1]
            symbol = (shares <= level[:, None]).sum(axis=1).clip(max=shares.shape[1] - 1)
            drawn[:, place] = symbol
            state = following[np.arange(len(state)), symbol]
        return drawn
