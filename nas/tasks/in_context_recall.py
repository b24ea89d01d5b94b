"""In-context recall: every row has a dictionary of its own, and repeated keys ask for their values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.tasks.generated import Rows
from nas.tasks.recall import MaskedRecall, first_places


class InContextRecall(MaskedRecall):
    """MAD's in-context recall (Poli et al. 2024, arXiv 2403.17844), masked; see `MaskedRecall`.

    Keys are the lower half of the vocabulary, values the upper half, drawn independently: two keys
    may have the same value. Keys are uniform; the last one is uniform among those of the row. With V
    16, guessing the value that most keys of the row have is right in about a third of cases.

    Differences: as in `MaskedRecall`; a row has T tokens, there T - 1 after the shift by one.
    **Scores are not comparable with the published causal table.**

    Args:
        vocab_size: V, keys and values; the task's own ``vocab_size`` has the mask token too.
        seq_length: T, tokens in a row, even.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: how many rows are evaluated.

    Raises:
        InputError: the settings leave no room for a repeated key; all reasons are named.
    """

    name = "in_context_recall"

    def __init__(
        self,
        vocab_size: int = 16,
        seq_length: int = 64,
        train_examples: int | None = None,
        validation_examples: int = 1024,
    ) -> None:
        mistakes = pair_mistakes(vocab_size, seq_length)
        most = seq_length // 2 - 1  # all pairs but the first
        super().__init__(vocab_size, seq_length, most, train_examples, validation_examples, mistakes)

    def draw(self, rng: np.random.Generator, count: int, split: str) -> Rows:
        """Make rows; all splits are alike."""
        return recall_rows(self, rng, count, self.mask, 0.0)


def pair_mistakes(known: int, seq_length: int, noise: str = "") -> Sequence[str]:
    """Return what is wrong with ``known`` keys and values in rows of ``seq_length``."""
    mistakes = []
    if known < 4:
        mistakes.append(f"task.vocab_size must leave two keys and two values{noise}, not {known} tokens")
    if seq_length % 2:
        mistakes.append(f"task.seq_length={seq_length} must be even: a pair takes two tokens")
    if seq_length < 4:
        mistakes.append(f"task.seq_length={seq_length} must be at least 4: a key, and the key again")
    return mistakes


def recall_rows(
    task: MaskedRecall, rng: np.random.Generator, count: int, known: int, noise_rate: float
) -> Rows:
    """Make rows of pairs; tokens from ``known`` on are noise, which takes the place of pairs.

    Args:
        task: has the sizes.
        rng: what is drawn from.
        count: B, how many rows.
        known: keys and values; half of them, rounded down, are keys.
        noise_rate: share of pairs, but one and the last, that are noise.
    """
    pairs, num_keys = task.seq_length // 2, known // 2
    keys = rng.integers(0, num_keys, (count, pairs))
    noise = rng.random((count, pairs)) < noise_rate
    noise[np.arange(count), rng.integers(0, pairs - 1, count)] = False  # something to recall
    noise[:, -1] = False
    codes = np.where(noise, num_keys + np.arange(pairs), keys)  # noise never repeats
    keys[:, -1] = codes[:, -1] = _one_of(rng, codes[:, :-1], num_keys)
    dictionary = rng.integers(num_keys, known, (count, num_keys))
    tokens = np.empty((count, task.seq_length), np.int64)
    tokens[:, 0::2] = keys
    tokens[:, 1::2] = np.take_along_axis(dictionary, keys, axis=1)
    if noise_rate:
        drawn = rng.integers(known, task.mask, tokens.shape)
        tokens = np.where(noise.repeat(2, axis=1), drawn, tokens)
    asked = np.zeros(tokens.shape, bool)
    asked[:, 1::2] = first_places(codes) < np.arange(pairs)
    return task.hidden(tokens, asked)


def _one_of(rng: np.random.Generator, codes: np.ndarray, num_keys: int) -> np.ndarray:
    """Draw for each row one of the different keys in it: [B]."""
    seen = np.zeros((len(codes), num_keys + codes.shape[1]))
    np.put_along_axis(seen, codes, 1, axis=1)
    drawn: np.ndarray = np.argmax(seen[:, :num_keys] * (1 - rng.random((len(codes), num_keys))), axis=1)
    return drawn
