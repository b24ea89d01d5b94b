"""Bounded Dyck languages: which bracket closes here?"""

from __future__ import annotations

import numpy as np

from nas.heads import TokenHead
from nas.tasks.automaton import Automaton
from nas.tasks.base import VALIDATION
from nas.tasks.generated import GeneratedTask, Ids, Rows
from nas.tasks.lengths import LONGER, length_mistakes
from nas.tasks.scoring import IGNORED

OPEN, CLOSE = range(2)


class Dyck(GeneratedTask):
    """Dyck-(k, m): well-nested brackets of k types, at most m open at once (Hewitt et al. 2020).

    All closing brackets are hidden by mask tokens, and the type of each is asked: that of the
    bracket it closes, which has to be found over all that is nested between. It is the closing-bracket
    accuracy of arXiv 2010.07515 (and of Yao et al. 2021, arXiv 2105.11115) for an encoder.

    Differences: there, a causal model predicts each token from those before it. Here it is told which
    tokens close, and no closing bracket is shown: one on the right would tell of open ones on the
    left. **Scores are not comparable with the published ones.** Lengths are even, drawn evenly up to
    ``train_length`` in training and ``val``, from there to ``test_length`` in ``longer``; all nestings
    of a length are equally likely, and so are all types (there, a random process makes them).

    Opening brackets are the tokens 0 to k - 1, closing ones, which are answers alone, those from k on.

    Args:
        bracket_types: k.
        max_depth: m.
        train_length: tokens of the longest row in training.
        test_length: tokens of the longest row in ``longer``.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: rows in each split.

    Raises:
        InputError: a number is out of range, or ``longer`` has no length; all mistakes are named.
    """

    name = "dyck"
    splits = (VALIDATION, LONGER)
    objective = f"{LONGER}/accuracy"
    direction = "maximize"
    measures = ("loss", "accuracy", "solved")

    def __init__(
        self,
        bracket_types: int = 8,
        max_depth: int = 5,
        train_length: int = 24,
        test_length: int = 48,
        train_examples: int | None = None,
        validation_examples: int = 1024,
    ) -> None:
        mistakes = length_mistakes(train_length, test_length, least=2, step=2)
        if bracket_types < 2:
            mistakes.append(f"task.bracket_types={bracket_types} must be at least 2: else nothing is asked")
        if max_depth < 1:
            mistakes.append(f"task.max_depth={max_depth} must be at least 1")
        super().__init__(train_examples, validation_examples, mistakes)
        self.bracket_types = bracket_types
        self.mask = 2 * bracket_types
        self.vocab_size = self.mask + 1
        self.seq_length = train_length // 2 * 2
        self.test_length = test_length // 2 * 2
        self._automaton = bounded_nesting(max_depth, self.test_length)

    @property
    def longest(self) -> int:
        """Tokens in the longest row of ``longer``."""
        return self.test_length

    def draw(self, rng: np.random.Generator, count: int, split: str) -> Rows:
        """Make rows; those of ``longer`` are longer than any other."""
        half, width = self.seq_length // 2, self.test_length if split == LONGER else self.seq_length
        least, most = (half + 1, width // 2) if split == LONGER else (1, half)
        lengths = 2 * rng.integers(least, most + 1, count)
        kinds = np.full((count, width), CLOSE, np.int64)
        words = self._automaton.words(rng, lengths, np.zeros(count, np.int64))
        kinds[:, : words.shape[1]] = words
        real = np.arange(width) < lengths[:, None]
        kinds = np.where(real, kinds, CLOSE)  # padding looks like what is hidden, and is masked
        types = rng.integers(0, self.bracket_types, (count, width))
        answers = self.bracket_types + np.take_along_axis(types, openings(kinds), axis=1)
        tokens = np.where(kinds == OPEN, types, self.mask)
        asked = np.sort(np.argsort(kinds == OPEN, axis=1, kind="stable")[:, : width // 2], axis=1)
        labels = np.where(real, answers, IGNORED)
        return Rows(tokens, asked, np.take_along_axis(labels, asked, axis=1), real)

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the operations of projecting half of the places, averaged over all tokens."""
        return TokenHead.flops(hidden_size, self.vocab_size) / 2


def bounded_nesting(max_depth: int, longest: int) -> Automaton:
    """Return the automaton whose class 0 are words of opening and closing brackets that fit each other.

    States are the numbers of open brackets, and a last one for words that cannot become right.
    """
    lost = max_depth + 1
    depth = np.arange(lost)
    opened = np.where(depth < max_depth, depth + 1, lost)
    closed = np.where(depth > 0, depth - 1, lost)
    moves = np.vstack([np.stack([opened, closed], axis=1), [lost, lost]])
    return Automaton(moves, (np.arange(lost + 1) > 0).astype(np.int64), longest)


def openings(kinds: Ids) -> Ids:
    """Return for each closing bracket of [B, T] the place of the one it closes.

    Brackets of one depth open and close in turn: in the order of depths, the place before is it.
    Other places, and closing brackets of a depth that nothing opened, get some place.
    """
    steps = np.where(kinds == OPEN, 1, -1)
    depths = steps.cumsum(axis=1) + (kinds == CLOSE)
    order = np.argsort(depths, axis=1, kind="stable")
    before = np.roll(order, 1, axis=1)
    found = np.empty_like(order)
    np.put_along_axis(found, order, before, axis=1)
    return found
