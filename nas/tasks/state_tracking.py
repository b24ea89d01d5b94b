"""What parity, cycle navigation and modular arithmetic share: the last state of an automaton is asked."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from nas.heads import TokenHead
from nas.tasks.automaton import Automaton
from nas.tasks.base import VALIDATION
from nas.tasks.generated import GeneratedTask, Ids, Rows
from nas.tasks.lengths import LONGER, asked_after, length_mistakes


class StateTracking(GeneratedTask):
    """A word, then a mask token where the class of the automaton's last state is asked, then padding.

    The form of "Neural Networks and the Chomsky Hierarchy" (Delétang et al. 2023, arXiv 2207.02098),
    where the answer is given in one step at an empty slot behind the input. Lengths are drawn evenly up
    to ``train_length`` in training and in ``val``, and from there to ``test_length`` in ``longer``, as
    for the published score. Differences: rows of different lengths share a batch (there, a batch has
    one length), and answers are spread evenly over those that a length allows (there, words are
    drawn freely; long ones hardly differ).

    A search looks at ``longer/accuracy``: attention learns the short words by heart (parity: 99.8 % of
    ``val``, 50 % of ``longer``), so that ``val/loss`` does not tell who keeps a state; and
    ``longer/loss`` prefers ignorance to an error made with confidence. A table of positions is not
    trained beyond ``train_length``: only with ``embedding.position=none`` does ``longer`` judge the
    blocks alone.

    Args:
        symbols: kinds of tokens in words and answers; ``vocab_size`` has the mask token too.
        train_length: tokens of the longest word in training.
        test_length: tokens of the longest word in ``longer``.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: rows in each split.
        mistakes: what a subclass found wrong with its own settings.

    Raises:
        InputError: a number is not positive, or there are mistakes; all are told together.
    """

    splits = (VALIDATION, LONGER)
    objective = f"{LONGER}/accuracy"
    direction = "maximize"
    symbol_tokens: ClassVar[int] = 1
    """Tokens of every symbol but the first, which has one."""
    first_answer: ClassVar[int] = 0
    """The token that stands for class 0."""

    def __init__(
        self,
        symbols: int,
        train_length: int,
        test_length: int,
        train_examples: int | None,
        validation_examples: int,
        mistakes: Sequence[str] = (),
    ) -> None:
        wrong = length_mistakes(train_length, test_length, least=1, step=self.symbol_tokens)
        super().__init__(train_examples, validation_examples, [*mistakes, *wrong])
        self.mask = symbols
        self.vocab_size = symbols + 1
        self.train_symbols = self._symbols(train_length)
        self.test_symbols = self._symbols(test_length)
        self.seq_length = self._tokens(self.train_symbols) + 1

    @abstractmethod
    def make_automaton(self, longest: int) -> Automaton:
        """Return the automaton, for words of at most ``longest`` symbols."""

    def written(self, words: Ids) -> Ids:
        """Return the tokens of words [B, symbols]."""
        return words

    @property
    def longest(self) -> int:
        """Tokens in the longest row of ``longer``."""
        return self.symbol_tokens * (self.test_symbols - 1) + 2

    def draw(self, rng: np.random.Generator, count: int, split: str) -> Rows:
        """Make rows; those of ``longer`` are longer than any other."""
        longer = split == LONGER
        least, most = (self.train_symbols + 1, self.test_symbols) if longer else (1, self.train_symbols)
        lengths = rng.integers(least, most + 1, count)
        classes = self._automaton.classes(rng, lengths)
        tokens = self.written(self._automaton.words(rng, lengths, classes))
        width = self.longest if longer else self.seq_length
        return asked_after(tokens, self._tokens(lengths), self.first_answer + classes, self.mask, width)

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the operations of projecting the slot, averaged over all tokens."""
        return TokenHead.flops(hidden_size, self.vocab_size) / self.seq_length

    @functools.cached_property
    def _automaton(self) -> Automaton:
        return self.make_automaton(self.test_symbols)

    def _symbols(self, tokens: int) -> int:
        return (tokens - 1) // self.symbol_tokens + 1

    def _tokens(self, symbols: Any) -> Any:
        return self.symbol_tokens * (symbols - 1) + 1
