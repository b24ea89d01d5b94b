"""Several blocks side by side on the same data."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.span import SpanBlock, States, update_of
from nas.errors import InputError, check_choice

Combine = Literal["sum", "mean", "learned"]


class Parallel(SpanBlock):
    """Adds up what two or more blocks make of the same data: ``data + sum of updates``.

    Attention beside another mixer in one layer is Hymba (Dong et al. 2024, arXiv 2411.13676),
    attention beside a feed-forward is GPT-J and PaLM. An update is what a block would add to the
    data by itself; ``learned`` is Hymba's form: the mean of the updates, each normalised (RMS) and
    scaled by learnt weights per feature. Differences: each block keeps its own norm, and its own
    output projection (Hymba shares both). States go from branch to branch in the order given.

    Args:
        hidden_size: D.
        span: the branches, name to class, partial or instance: two or more.
        combine: ``sum``, ``mean`` or ``learned``.

    Raises:
        InputError: see `Span`; there is only one branch, or ``combine`` is unknown.
    """

    inner_layout: ClassVar[Literal["sequence", "parallel"]] = "parallel"

    def __init__(self, hidden_size: int, span: dict[str, Any], *, combine: Combine = "sum") -> None:
        super().__init__(hidden_size, span)
        check_choice("combine", combine, get_args(Combine))
        branches = len(self.span.order)
        if branches < 2:
            raise InputError(f"span={list(span)} has {branches} branch: expected two or more")
        self.combine = combine
        self.scale = nn.Parameter(torch.ones(branches, hidden_size)) if combine == "learned" else None

    def start_as_identity(self) -> None:
        """Let every branch start so.

        Raises:
            InputError: one cannot.
        """
        for block in dict.fromkeys(self.inner_blocks):
            block.start_as_identity()

    @property
    def label(self) -> str:
        """Such as ``parallel(mha,conv)``."""
        return f"parallel({self.span.label})"

    def flops_per_token(self, seq_length: int) -> float:
        """Return the cost of the branches."""
        return self.span.flops_per_token(seq_length)

    def run(self, data: Tensor, attention_mask: Tensor | None, states: States) -> tuple[Tensor, States]:
        """Map [B, T, D] and all states to both anew."""
        masks = self.span.masks(data, attention_mask)
        total = torch.zeros_like(data)
        for branch, index in enumerate(self.span.order):
            block: Any = self.span.blocks[index]
            update, states = update_of(block, data, masks[index], states)
            if self.scale is not None:
                normed = F.rms_norm(update, update.shape[-1:], eps=1e-6)
                update = self.scale[branch].to(update.dtype) * normed
            total = total + update
        if self.combine != "sum":
            total = total / len(self.span.order)
        return data + total, states
