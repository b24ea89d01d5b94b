"""A random stream for each trial of a sampler, whenever it is asked for."""

from __future__ import annotations

import numpy as np


class Streams:
    """Equal for equal seeds and numbers of trials, in whatever process.

    Args:
        seed: None: others each time.
    """

    def __init__(self, seed: int | None) -> None:
        self._seed = np.random.SeedSequence(seed).entropy

    def of(self, number: int) -> np.random.Generator:
        """Return the stream of a trial."""
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(number,)))
