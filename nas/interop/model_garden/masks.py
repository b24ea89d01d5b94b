"""The original's mask layers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.layer import CALLS
from nas.interop.model_garden.weights import Weights
from nas.masks import BigBirdMasks, KernelMask, SelfAttentionMask


def self_attention_mask(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `SelfAttentionMask`, which has no arguments."""
    return _for(SelfAttentionMask(), context)


def kernel_mask(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `KernelMask`, which has no arguments."""
    return _for(KernelMask(), context)


def bigbird_masks(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `BigBirdMasks`."""
    return _for(BigBirdMasks(arguments.get("block_size")), context)


class MaskLayer(nn.Module):
    """A mask by itself, called as the original's layer is; several masks come as a list."""

    def __init__(self, mask: nn.Module) -> None:
        super().__init__()
        self.mask = mask

    def forward(self, inputs: Any, mask: Tensor | None = None) -> Any:
        """Return the mask of ``inputs`` [B, T, D] (or of both in one list) and ``mask`` [B, T]."""
        data, mask = inputs if isinstance(inputs, list | tuple) else (inputs, mask)
        made = self.mask(data, mask)
        return list(made) if isinstance(made, tuple) else made


class AllMasks(nn.Module):
    """Every mask of the original from the same padding mask; BigBird's with blocks of 4."""

    def __init__(self) -> None:
        super().__init__()
        self.masks = nn.ModuleDict(
            {
                "self_attention_mask": MaskLayer(SelfAttentionMask()),
                "bigbird": MaskLayer(BigBirdMasks(4)),
                "kernel": MaskLayer(KernelMask()),
            }
        )

    def forward(self, data: Tensor, mask: Tensor) -> dict[str, Any]:
        """Return each mask by name."""
        return {name: layer(data, mask) for name, layer in self.masks.items()}


CALLS["masks"] = AllMasks


def _for(mask: nn.Module, context: Context) -> nn.Module:
    """Return the mask, or, where the entry is the mask by itself, what is called as the original's."""
    return MaskLayer(mask) if context.entry.get("kind") == "layer" else mask


TRANSLATORS: dict[str, Translator] = {
    "SelfAttentionMask": self_attention_mask,
    "KernelMask": kernel_mask,
    "BigBirdMasks": bigbird_masks,
}
