"""Mixers as cases by themselves: called with data alone, and nothing around them."""

from __future__ import annotations

from torch import Tensor, nn

from nas.blocks.base import ResidualBlock
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.context import Context


class Mixer(nn.Module):
    """What a block's mixer returns, without the residual stream.

    Args:
        block: a block without norms.
    """

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, inputs: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]."""
        out: Tensor = self.block.branch(inputs)
        return out


def alone(block: ResidualBlock, arguments: Arguments, context: Context) -> nn.Module:
    """Return the block, or its mixer where the case is of this layer by itself."""
    return Mixer(block) if is_alone(arguments, context) else block


def is_alone(arguments: Arguments, context: Context) -> bool:
    """Return whether the entry is of the class whose arguments these are, not of something around it."""
    return context.entry.get("kind") == "layer" and context.entry.get("target") == arguments.class_name
