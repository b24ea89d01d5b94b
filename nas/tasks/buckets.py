"""Rows of different lengths, put into batches of a few static lengths."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from nas.seeding import generator
from nas.tasks.epochs import Epochs

WINDOW = 16
"""Batches among which rows are sorted by length: more leave less padding, and less chance in what meets."""
Numbers = NDArray[np.int64]


class BucketEpochs(Epochs):
    """Passes over rows of which those of similar lengths come together; batches come in random order.

    Args:
        lengths: tokens of each row [N].
        what: what rows are called in messages.
    """

    def __init__(self, lengths: Numbers, what: str) -> None:
        super().__init__(len(lengths), what)
        self._lengths = lengths

    def rows(self, step: int, batch_size: int, seed: int) -> Numbers:
        """Return the numbers [batch_size] of the rows of one step."""
        epoch = self.epoch(step, batch_size)
        rows: Numbers = self._batches(batch_size, seed, epoch)[step % (self.count // batch_size)]
        return rows

    @functools.lru_cache(maxsize=2)  # noqa: B019 (an object lives as long as its run)
    def _batches(self, batch_size: int, seed: int, epoch: int) -> Numbers:
        """Return the rows of every batch of an epoch [N // batch_size, batch_size]."""
        rng = generator(seed, "buckets", epoch)
        whole = self.count // batch_size * batch_size
        order = rng.permutation(self.count)[:whole]
        window = np.arange(whole) // (batch_size * WINDOW)
        batches = order[np.lexsort((self._lengths[order], window))].reshape(-1, batch_size)
        shuffled: Numbers = batches[rng.permutation(len(batches))]
        return shuffled


def bucket_of(longest: int, lengths: list[int]) -> int:
    """Return the smallest of ``lengths`` (ascending) that holds ``longest`` tokens."""
    return next(length for length in lengths if length >= longest)
