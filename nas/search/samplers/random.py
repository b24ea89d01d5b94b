"""Independent uniform choices: the yardstick of every other sampler."""

from __future__ import annotations

from nas.search.samplers.encoding import Array, Encoding
from nas.search.samplers.history import History
from nas.search.samplers.proposing import ProposingSampler


class Random(ProposingSampler):
    """Uniform configurations, none of them twice.

    Args:
        seed: of the sampler's own random stream.
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(seed)

    def propose(self, encoding: Encoding, history: History) -> Array:
        """Return a random row that was not tried."""
        return self.fresh(encoding, history)
