"""The empty slot."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from nas.blocks.base import Block, Role


class NoBlock(Block):
    """Returns its input: lets a search change the depth without changing the number of slots."""

    role: ClassVar[Role] = "none"
    tokenwise: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()  # states that there are no arguments

    @property
    def label(self) -> str:
        """Always ``none``."""
        return "none"

    def flops_per_token(self, seq_length: int) -> float:
        """Return 0."""
        return 0.0

    def start_as_identity(self) -> None:
        """Do nothing: it is one."""

    def forward(self, data: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Return ``data`` [B, T, D]."""
        return data
