"""Skips over many slots, as in a U-net: one block saves the data, a later one adds it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from nas.blocks.base import Block, Role

Stack = tuple[Tensor, ...]


class SkipSave(Block):
    """Puts the data on the stack of skips and returns it unchanged."""

    role: ClassVar[Role] = "recursive"
    recursive: ClassVar[bool] = True
    state_kind: ClassVar[str] = "skips"

    def __init__(self) -> None:
        super().__init__()  # states that there are no arguments

    @property
    def label(self) -> str:
        """Always ``save``."""
        return "save"

    def flops_per_token(self, seq_length: int) -> float:
        """Return 0."""
        return 0.0

    def forward(
        self, data: Tensor, attention_mask: Tensor | None = None, skips: Stack | None = None
    ) -> tuple[Tensor, Stack]:
        """Return ``data`` [B, T, D], and the skips with it on top."""
        return data, (*(skips or ()), data)


class SkipAdd(Block):
    """Takes the latest data off the stack of skips and adds it, times a learnt weight.

    U-net (Ronneberger et al. 2015, arXiv 1505.04597) joins encoder and decoder layers so, U-ViT
    (Bao et al. 2022, arXiv 2209.12152) the layers of a transformer. Difference: one weight in
    place of a projection of both. Without anything saved the data is returned unchanged.

    Args:
        initial: the weight at the start.
    """

    role: ClassVar[Role] = "recursive"
    recursive: ClassVar[bool] = True
    state_kind: ClassVar[str] = "skips"

    def __init__(self, *, initial: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([float(initial)]))

    @property
    def label(self) -> str:
        """Always ``skip``."""
        return "skip"

    def flops_per_token(self, seq_length: int) -> float:
        """Return 0: additions are not counted."""
        return 0.0

    def forward(
        self, data: Tensor, attention_mask: Tensor | None = None, skips: Stack | None = None
    ) -> tuple[Tensor, Stack]:
        """Return ``data`` [B, T, D] with the latest skip added, and the others."""
        if not skips:
            return data, ()
        return data + self.weight.to(data.dtype) * skips[-1], skips[:-1]
