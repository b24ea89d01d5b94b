"""Independent uniform choices: the yardstick of every other sampler."""

from __future__ import annotations

import optuna


class Random(optuna.samplers.RandomSampler):
    """Optuna's random sampler.

    Args:
        seed: of the sampler's own random stream.
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(seed=seed)
