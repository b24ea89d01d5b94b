"""Which examples a training step takes: a new order in every epoch, without keeping any state."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from nas.errors import InputError
from nas.seeding import generator


class Epochs:
    """Passes over ``count`` examples; an epoch's last examples that fill no batch are left out.

    Args:
        count: how many examples there are.
        what: what they are called in messages.
    """

    def __init__(self, count: int, what: str) -> None:
        self.count = count
        self.what = what

    def epoch(self, step: int, batch_size: int) -> int:
        """Return the number of the epoch that a step is in.

        Raises:
            InputError: a batch is larger than the whole set.
        """
        if batch_size > self.count:
            raise InputError(
                f"trainer.batch_size={batch_size} is more than the {self.count} {self.what}; "
                "use a smaller batch or more data"
            )
        return step // (self.count // batch_size)

    def rows(self, step: int, batch_size: int, seed: int) -> NDArray[np.int64]:
        """Return the numbers [batch_size] of the examples of one step."""
        epoch = self.epoch(step, batch_size)
        within = step % (self.count // batch_size) * batch_size
        return _order(self.count, seed, epoch)[within : within + batch_size]


@functools.lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    order = generator(seed, "order", epoch).permutation(count)
    order.setflags(write=False)
    return order
