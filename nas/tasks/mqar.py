"""Multi-query associative recall: look up, by content, what was paired with a key."""

from __future__ import annotations

import numpy as np

from nas.heads import TokenHead
from nas.tasks.generated import GeneratedTask, Ids, Rows, distinct
from nas.tasks.recall import NOT_COMPARABLE

BLANK = 0


class MultiQueryAssociativeRecall(GeneratedTask):
    """Zoology's MQAR (Arora et al. 2024, arXiv 2312.04927) as a masked task.

    A row begins with ``num_pairs`` pairs of a key from [1, V/2) and a value from [V/2, V), all
    different. The rest is slots of two tokens. Each key comes once more, in a slot drawn without
    replacement with probability proportional to (slot + 1) ** (power - 1), followed by the mask
    token, where its value is asked for. Other slots are blank, as in the published settings.

    Differences: there, the value is predicted at the key, left to right; here at a mask token
    after it, from both sides. **Scores are not comparable with the published causal table.** The
    defaults are small enough for a CPU; the published ones are V 8192, T 64/128/256 with 4/8/16
    pairs, 100,000 training and 3,000 test examples.

    Args:
        vocab_size: V, blank, keys and values; the task's own ``vocab_size`` has the mask token too.
        seq_length: T, tokens in a row, even.
        num_pairs: keys in a row, and questions about them.
        power: a, the exponent of the law by which questions prefer early slots.
        train_examples: how many different training rows there are; null makes new ones forever.
        validation_examples: how many rows are evaluated.

    Raises:
        InputError: the settings leave no room for the pairs; all reasons are named.
    """

    name = "mqar"
    note = NOT_COMPARABLE

    def __init__(
        self,
        vocab_size: int = 64,
        seq_length: int = 32,
        num_pairs: int = 4,
        power: float = 0.01,
        train_examples: int | None = None,
        validation_examples: int = 1024,
    ) -> None:
        mistakes = _mistakes(vocab_size, seq_length, num_pairs, power)
        super().__init__(train_examples, validation_examples, mistakes)
        self.mask = vocab_size  # the token that asks: the first after blank, keys and values
        self.vocab_size = vocab_size + 1
        self.seq_length = seq_length
        self.num_pairs = num_pairs
        self.power = power

    def draw(self, rng: np.random.Generator, count: int, split: str) -> Rows:
        """Make rows; all splits are alike."""
        vocab_size, prefix = self.mask, 2 * self.num_pairs
        half = vocab_size // 2
        keys = 1 + distinct(rng, count, self.num_pairs, half - 1)
        values = half + distinct(rng, count, self.num_pairs, vocab_size - half)
        queries = prefix + 2 * self._slots(rng, count)
        tokens = np.full((count, self.seq_length), BLANK, np.int64)
        tokens[:, 0:prefix:2] = keys
        tokens[:, 1:prefix:2] = values
        np.put_along_axis(tokens, queries, keys, axis=1)
        np.put_along_axis(tokens, queries + 1, self.mask, axis=1)
        order = np.argsort(queries, axis=1)
        asked = np.take_along_axis(queries + 1, order, axis=1)
        return Rows(tokens, asked, np.take_along_axis(values, order, axis=1))

    def head_flops_per_token(self, hidden_size: int) -> float:
        """Return the operations of projecting the asked tokens, averaged over all tokens."""
        return TokenHead.flops(hidden_size, self.vocab_size) * self.num_pairs / self.seq_length

    def _slots(self, rng: np.random.Generator, rows: int) -> Ids:
        """Draw a slot for each key: Gumbel noise makes the draw without replacement one sort."""
        slots = (self.seq_length - 2 * self.num_pairs) // 2
        log_weight = (self.power - 1) * np.log(np.arange(1, slots + 1))
        order = np.argsort(-(log_weight + rng.gumbel(size=(rows, slots))), axis=1)
        return order[:, : self.num_pairs]


def _mistakes(
    vocab_size: int,
    seq_length: int,
    num_pairs: int,
    power: float,
) -> list[str]:
    positive = {"vocab_size": vocab_size, "seq_length": seq_length, "num_pairs": num_pairs, "power": power}
    mistakes = [f"task.{key}={value} must be greater than 0" for key, value in positive.items() if value <= 0]
    if seq_length % 2:
        mistakes.append(f"task.seq_length={seq_length} must be even: questions take two tokens")
    if num_pairs * 4 > seq_length:
        mistakes.append(
            f"task.num_pairs={num_pairs} needs task.seq_length of at least {4 * num_pairs} "
            f"(two tokens for each pair, two for each question), not {seq_length}"
        )
    if vocab_size // 2 - 1 < num_pairs:
        mistakes.append(
            f"task.vocab_size={vocab_size} has {max(0, vocab_size // 2 - 1)} keys, fewer than "
            f"task.num_pairs={num_pairs}; use at least {2 * num_pairs + 2}"
        )
    return mistakes
