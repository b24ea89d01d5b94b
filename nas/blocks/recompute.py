"""Activation checkpointing: the inside of a layer is not kept, but computed again to differentiate it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


def recomputed(layer: nn.Module, again: bool) -> Callable[..., Any]:
    """Return a layer that keeps only its inputs for the backward pass (Chen et al. 2016, arXiv 1604.06174).

    Random numbers are drawn as in the first pass; what it adds to `nas.blocks.losses` counts once.

    Args:
        layer: maps tensors and containers of them to such.
        again: False returns the layer itself.
    """
    return partial(checkpoint, layer, use_reentrant=False) if again else layer
