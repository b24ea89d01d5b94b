"""T5's relative positions: each head learns a number for every bucket of distances."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nas.blocks.positions.scheme import PositionScheme
from nas.errors import InputError, check_positive


class T5Bias(PositionScheme):
    """Adds a learnt number per head and bucket to the scores.

    Raffel et al. 2019 (arXiv 1910.10683): small distances have a bucket each, larger ones share
    buckets whose width grows with the logarithm of the distance, and all from ``max_distance`` on
    share the last one. Bidirectional: half of the buckets for either side; causal: all of them for
    earlier keys. Difference: every block has a table of its own (there all layers share one).

    Args:
        num_heads: H.
        buckets: how many there are.
        max_distance: from here on all distances are one.
        causal: whether later keys are hidden anyway.

    Raises:
        InputError: too few buckets, an odd number where two sides share them, or a distance that
            the buckets of single distances reach already.
    """

    biases = True

    def __init__(self, num_heads: int, buckets: int, max_distance: int, *, causal: bool) -> None:
        super().__init__()
        check_positive(t5_buckets=buckets, t5_max_distance=max_distance)
        sides = 1 if causal else 2
        if buckets % sides or buckets < 2 * sides:
            needed = "at least 2" if causal else "even and at least 4: each side has half of them"
            raise InputError(f"t5_buckets={buckets} must be {needed}")
        self.side, self.exact = buckets // sides, buckets // sides // 2
        if max_distance <= self.exact:
            raise InputError(
                f"t5_max_distance={max_distance} must be greater than {self.exact}, the distances that "
                f"have a bucket each with t5_buckets={buckets}"
            )
        self.max_distance, self.causal = max_distance, causal
        self.table = nn.Parameter(torch.empty(num_heads, buckets))
        nn.init.normal_(self.table, std=0.02)

    def by_distance(self, distance: Tensor) -> Tensor:
        """Return [H, N] from distances [N]."""
        return self.table[:, self.bucket(distance)]

    def bucket(self, distance: Tensor) -> Tensor:
        """Return the bucket of each distance (key's place less query's), integers of one shape."""
        if self.causal:
            return self._bucket_of_side((-distance).clamp(min=0))
        return self._bucket_of_side(distance.abs()) + self.side * (distance > 0)

    def _bucket_of_side(self, distance: Tensor) -> Tensor:
        ratio = distance.clamp(min=1).float() / self.exact
        share = ratio.log() / math.log(self.max_distance / self.exact)
        far = self.exact + (share * (self.side - self.exact)).long()
        return torch.where(distance < self.exact, distance, far.clamp(max=self.side - 1))
