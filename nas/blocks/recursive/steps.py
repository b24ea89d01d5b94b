"""What blocks that run a span several times tell it about the step."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from nas.blocks.positions import places_of
from nas.errors import check_choice

StepEmbeddingKind = Literal["none", "learned", "sinusoid"]


class StepEmbedding(nn.Module):
    """Adds a vector for the step to every token, or nothing.

    Args:
        kind: ``learned``: one vector for each step; ``sinusoid``: that of the Universal Transformer
            (arXiv 1807.03819), without its part for the place; ``none``.
        steps: how many there are.
        hidden_size: D.

    Raises:
        InputError: ``kind`` is unknown.
    """

    def __init__(self, kind: StepEmbeddingKind, steps: int, hidden_size: int) -> None:
        super().__init__()
        check_choice("step_embedding", kind, get_args(StepEmbeddingKind))
        self.steps = steps if kind == "sinusoid" else 0
        self.table = nn.Parameter(0.02 * torch.randn(steps, hidden_size)) if kind == "learned" else None

    def forward(self, data: Tensor, step: int) -> Tensor:
        """Return [B, T, D] with the vector of ``step`` added."""
        if self.table is not None:
            return data + self.table[step].to(data.dtype)
        if self.steps:
            return data + places_of(data, self.steps)[step]
        return data
