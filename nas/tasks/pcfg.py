"""Masked modelling of text whose grammar is known, and with it the least loss that there can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.errors import InputError
from nas.heads import TokenHead
from nas.progress import Say
from nas.tasks.generated import GeneratedTask, Ids, Rows
from nas.tasks.hierarchy import RandomHierarchy
from nas.tasks.kept import kept_arrays
from nas.tasks.scoring import Scores

CHUNK = 256  # rows of which posteriors are computed at once
MOST_TUPLES = 1 << 24


class ProbabilisticGrammar(GeneratedTask):
    """Masked modelling of rows of the Random Hierarchy Model (see `nas.tasks.hierarchy`).

    Every row hides the same number of tokens, drawn evenly. What is visible decides, by exact
    inference, how likely each hidden token is; the mean of -log p(right answer) over a split is its
    floor, the loss of a model that knows the grammar. ``excess`` is the loss above it: 0 is
    perfect, whatever the grammar. Differences from the papers: they classify rows, or predict the
    last token from the others (Cagnetta and Wyart 2024, arXiv 2406.00048); here some are hidden
    anywhere, each to be told from the visible ones alone.

    Args:
        symbols: v, different tokens; the task's ``vocab_size`` has the mask token too.
        rules: m, right sides of each symbol, all alike in probability; more leave less to be known.
        branching: s, symbols on a right side.
        levels: L, how deep a row's tree is; it has s ** L tokens.
        mask_rate: share of a row's tokens that is hidden, above 0 and below 1.
        grammar_seed: of the rules.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: how many rows are evaluated.

    Raises:
        InputError: there is no such grammar; all reasons are named.
    """

    name = "pcfg"
    measures = ("loss", "accuracy", "excess")

    def __init__(
        self,
        symbols: int = 16,
        rules: int = 2,
        branching: int = 2,
        levels: int = 5,
        mask_rate: float = 0.3,
        grammar_seed: int = 0,
        train_examples: int | None = None,
        validation_examples: int = 1024,
    ) -> None:
        mistakes = _mistakes(symbols, rules, branching, levels, mask_rate)
        if mistakes:
            raise InputError(*mistakes)
        super().__init__(train_examples, validation_examples)
        self.grammar = RandomHierarchy(symbols, rules, branching, levels, grammar_seed)
        self.mask = symbols
        self.vocab_size = symbols + 1
        self.seq_length = branching**levels
        self.hidden_per_row = min(self.seq_length, max(1, round(mask_rate * self.seq_length)))
        self.floors: dict[str, float] = {}

    def draw(self, rng: np.random.Generator, count: int, split: str) -> Rows:
        """Make rows; all splits are alike."""
        tokens = self.grammar.draw(rng, count)
        order = np.argpartition(rng.random(tokens.shape), self.hidden_per_row - 1, axis=1)
        asked = np.sort(order[:, : self.hidden_per_row], axis=1)
        labels = np.take_along_axis(tokens, asked, axis=1)
        np.put_along_axis(tokens, asked, self.mask, axis=1)
        return Rows(tokens, asked, labels)

    def prepare(self, cache: Path, say: Say) -> None:
        """Make the fixed sets and their floors, or find them under ``cache``.

        Raises:
            InputError: they cannot be written.
        """
        super().prepare(cache, say)
        for split in self.splits:
            if split not in self.floors:
                key = [self.name, "floor", self.version, self._settings(), split, self.validation_examples]
                made = lambda s=split: {"floor": self.least_losses(self._fixed(s))}  # noqa: E731
                kept = kept_arrays(cache, f"{self.name}-floor", key, made)
                self.floors[split] = float(kept["floor"].mean())

    def least_losses(self, rows: Rows) -> Ids:
        """Return -log p(right answer | visible tokens) for each hidden one [B, A], in nats."""
        starts = range(0, len(rows.tokens), CHUNK)
        return np.concatenate([self._least(rows.take(slice(start, start + CHUNK))) for start in starts])

    def scores(self) -> Scores:
        """Return scores that know the floors."""
        return ExcessScores(self.measures, self.floors)

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the operations of projecting the hidden tokens, averaged over all tokens."""
        return TokenHead.flops(hidden_size, self.vocab_size) * self.hidden_per_row / self.seq_length

    def _least(self, rows: Rows) -> Ids:
        tokens, asked = rows.tokens.astype(np.int64), rows.asked.astype(np.int64)
        likely = self.grammar.posterior(tokens, tokens == self.mask)
        of_asked = np.take_along_axis(likely, asked[..., None], axis=1)
        right: Ids = np.take_along_axis(of_asked, rows.labels[..., None].astype(np.int64), axis=2)[..., 0]
        return -np.log(right)


class ExcessScores(Scores):
    """Adds ``excess``: the loss (nats per answer) above the least one that is possible for a split.

    Args:
        measures: which are wanted.
        floors: the least loss of each split.
    """

    def __init__(self, measures: tuple[str, ...], floors: dict[str, float]) -> None:
        super().__init__(measures)
        self.floors = floors

    def found(self, split: str) -> dict[str, float]:
        """Add the excess."""
        found = super().found(split)
        return {**found, "excess": found["loss"] - self.floors[split]}


def _mistakes(symbols: int, rules: int, branching: int, levels: int, mask_rate: float) -> list[str]:
    least = {"symbols": (symbols, 2), "rules": (rules, 1), "branching": (branching, 2), "levels": (levels, 1)}
    mistakes = [f"task.{k}={v!r} must be at least {least}" for k, (v, least) in least.items() if v < least]
    if not 0 < mask_rate < 1:
        mistakes.append(f"task.mask_rate={mask_rate!r} must be above 0 and below 1")
    if mistakes:
        return mistakes
    if rules >= symbols ** (branching - 1):
        mistakes.append(
            f"task.rules={rules} must be below task.symbols ** (task.branching - 1) = "
            f"{symbols ** (branching - 1)}: with so many, every row is allowed and there is nothing to learn"
        )
    if symbols**branching > MOST_TUPLES:
        mistakes.append(f"task.symbols={symbols} ** task.branching={branching} must be at most {MOST_TUPLES}")
    return mistakes
