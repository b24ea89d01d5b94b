"""ALiBi: scores fall linearly with the distance, in every head at its own slope."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.blocks.positions.scheme import PositionScheme


class ALiBi(PositionScheme):
    """Adds ``-slope * |distance|`` to the scores; nothing is learnt.

    Press et al. 2021 (arXiv 2108.12409). Differences: tokens to both sides count by their
    distance, so that it serves bidirectional attention (a causal block sees one side, which is the
    paper's form); head h of H has the slope ``2 ** (-8 (h + 1) / H)`` for every H, where the paper
    interleaves two such rows if H is no power of two.

    Args:
        num_heads: H.
    """

    biases = True

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads

    def by_distance(self, distance: Tensor) -> Tensor:
        """Return [H, N] from distances [N]."""
        heads = torch.arange(1, self.num_heads + 1, device=distance.device, dtype=torch.float32)
        return -(2.0 ** (-8 * heads / self.num_heads))[:, None] * distance.abs()
