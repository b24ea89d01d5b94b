"""Fuzzy in-context recall: keys and values are short runs of tokens, of differing length."""

from __future__ import annotations

import numpy as np

from nas.tasks.generated import TRAINING, Ids, Rows, distinct
from nas.tasks.recall import MaskedRecall, first_places


class FuzzyRecall(MaskedRecall):
    """MAD's fuzzy in-context recall (Poli et al. 2024, arXiv 2403.17844), masked; see `MaskedRecall`.

    A key is a run of one to ``key_motif`` different tokens of the lower half of the vocabulary, a
    value one of one to ``value_motif`` of the upper half. Lengths are uniform in training; in
    validation keys always have the greatest length. The last pair repeats one of the row's. The
    vocabulary's last token fills rows up from the left.

    Differences: as in `MaskedRecall`; a hidden value is as many mask tokens as it has tokens, so its
    length is seen; the last pair repeats a uniformly drawn one (there, a pair drawn beforehand is
    inserted at a random place, which fails now and then). **Scores are not comparable with the
    published causal table.**

    Args:
        vocab_size: V, keys, values and the filler; the task's own ``vocab_size`` has the mask token too.
        seq_length: T, tokens in a row.
        key_motif: at most this many tokens are a key.
        value_motif: at most this many tokens are a value.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: how many rows are evaluated.

    Raises:
        InputError: the settings leave no room for a repeated key; all reasons are named.
    """

    name = "fuzzy_recall"

    def __init__(
        self,
        vocab_size: int = 16,
        seq_length: int = 64,
        key_motif: int = 2,
        value_motif: int = 2,
        train_examples: int | None = None,
        validation_examples: int = 1024,
    ) -> None:
        mistakes = _mistakes(vocab_size, seq_length, key_motif, value_motif)
        # every value stands behind a key of one token at least
        most = 0 if mistakes else seq_length * value_motif // (1 + value_motif)
        super().__init__(vocab_size, seq_length, most, train_examples, validation_examples, mistakes)
        self.key_motif = key_motif
        self.value_motif = value_motif
        self.filler = vocab_size - 1
        self.num_keys = self.filler // 2

    def draw(self, rng: np.random.Generator, count: int, split: str) -> Rows:
        """Make rows; keys have all lengths in training, the greatest one elsewhere."""
        room = self.seq_length - 2 * (self.key_motif + self.value_motif) + 1  # pairs begin before it
        pairs = -(-room // 2)
        drawn = (count, pairs)
        shortest = 1 if split == TRAINING else self.key_motif
        key_sizes = rng.integers(shortest, self.key_motif + 1, drawn)
        keys = distinct(rng, count * pairs, self.key_motif, self.num_keys).reshape(*drawn, -1)
        keys = np.where(np.arange(self.key_motif) < key_sizes[..., None], keys, -1)
        first = _first_keys(keys)
        value_sizes = np.take_along_axis(rng.integers(1, self.value_motif + 1, drawn), first, axis=1)
        values = distinct(rng, count * pairs, self.value_motif, self.filler - self.num_keys)
        values = values.reshape(*drawn, -1)
        values = self.num_keys + np.take_along_axis(values, first[..., None], axis=1)
        values = np.where(np.arange(self.value_motif) < value_sizes[..., None], values, -1)
        sizes = key_sizes + value_sizes
        there = np.cumsum(sizes, axis=1) - sizes < room
        asked = first < np.arange(pairs)
        return self._laid_out(*_with_probe(rng, keys, values, there, asked))

    def _laid_out(self, keys: Ids, values: Ids, asked: Ids) -> Rows:
        """Return rows of the pairs [B, P, ...] one behind the other; -1 is no token."""
        rows = len(keys)
        cells = np.concatenate([keys, values], axis=-1).reshape(rows, -1)
        hidden = np.concatenate([np.zeros(keys.shape, bool), asked[..., None] & (values >= 0)], axis=-1)
        real = cells >= 0
        row, cell = np.nonzero(real)
        place = self.seq_length + np.cumsum(real, axis=1) - 1 - real.sum(axis=1, keepdims=True)
        tokens = np.full((rows, self.seq_length), self.filler, np.int64)
        tokens[row, place[row, cell]] = cells[row, cell]
        where = np.zeros(tokens.shape, bool)
        where[row, place[row, cell]] = hidden.reshape(rows, -1)[row, cell]
        return self.hidden(tokens, where)


def _with_probe(
    rng: np.random.Generator, keys: Ids, values: Ids, there: Ids, asked: Ids
) -> tuple[Ids, Ids, Ids]:
    """Leave out the pairs that are not ``there`` [B, P], and repeat one of the others at the end."""
    counts = there.sum(axis=1)  # those that are there come first
    chosen = rng.integers(0, counts)[:, None, None]
    there, most = there[..., None], counts.max()
    keys, values = (
        np.concatenate([np.where(there, p, -1)[:, :most], np.take_along_axis(p, chosen, axis=1)], axis=1)
        for p in (keys, values)
    )
    return keys, values, np.pad(asked[:, :most], ((0, 0), (0, 1)), constant_values=True)


def _first_keys(keys: Ids) -> Ids:
    """Return for each key [B, P, K] the first place in its row where all its tokens are the same."""
    first = first_places(keys[..., 0])
    for place in range(1, keys.shape[-1]):
        first = first_places(first * (int(keys.max()) + 2) + keys[..., place] + 1)
    return first


def _mistakes(vocab_size: int, seq_length: int, key_motif: int, value_motif: int) -> list[str]:
    motifs = {"key_motif": key_motif, "value_motif": value_motif}
    mistakes = [f"task.{key}={value} must be greater than 0" for key, value in motifs.items() if value <= 0]
    num_keys = (vocab_size - 1) // 2
    kinds = {"key_motif": max(0, num_keys), "value_motif": max(0, vocab_size - 1 - num_keys)}
    mistakes += [
        f"task.{key}={motifs[key]} different tokens cannot be drawn from the {kinds[key]} of "
        f"task.vocab_size={vocab_size}"
        for key in motifs
        if motifs[key] > kinds[key]
    ]
    least = 2 * (key_motif + value_motif)
    if seq_length < least:
        mistakes.append(f"task.seq_length={seq_length} must be at least {least}: two pairs of the longest")
    return mistakes
