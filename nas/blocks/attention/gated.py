"""Gated attention: what the heads gathered passes a sigmoid gate that reads the token itself."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal, Unpack, get_args

import torch
from torch import Tensor, nn

from nas.blocks.attention.mha import AttentionSettings, MultiHeadAttention
from nas.blocks.attention.softmax import merge_heads
from nas.blocks.base import Role
from nas.errors import check_choice, check_positive

Gate = Literal["elementwise", "head"]


class GatedAttention(MultiHeadAttention):
    """`MultiHeadAttention` whose heads are multiplied by ``sigmoid(W data)`` before the output.

    Qiu et al. 2025 (arXiv 2505.06708), the gate after the weighted average (there G1), which
    removes the need for attention sinks. Difference: ``gate_rank`` may factorise W.

    Args:
        hidden_size: D.
        num_heads: H.
        gate: ``elementwise``: one for every feature of every head; ``head``: one for each head.
        gate_rank: W's rank, through a second matrix; null: W is one full matrix.
        **settings: see `MultiHeadAttention`.

    Raises:
        InputError: see `MultiHeadAttention`; the gate is unknown, or its rank not positive.
    """

    role: ClassVar[Role] = "attention"

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        gate: Gate = "elementwise",
        gate_rank: int | None = None,
        **settings: Unpack[AttentionSettings],
    ) -> None:
        super().__init__(hidden_size, num_heads, **settings)
        check_choice("gate", gate, get_args(Gate))
        check_positive(gate_rank=1 if gate_rank is None else gate_rank)
        self.gate_size = self.head_size if gate == "elementwise" else 1
        sizes = [hidden_size, *([] if gate_rank is None else [gate_rank]), num_heads * self.gate_size]
        self.gate = nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in pairwise(sizes)))

    @property
    def label(self) -> str:
        """Always ``gated``."""
        return "gated"

    def mix_flops(self, seq_length: int) -> float:
        """Return attention's cost and the gate's products."""
        gate = sum(2.0 * weight.numel() for weight in self.gate.parameters())
        return super().mix_flops(seq_length) + gate

    def _merge(self, heads: Tensor, data: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate(data))
        if self.gate_size == 1:
            gate = gate.repeat_interleave(self.head_size, dim=-1)
        out: Tensor = self.output(merge_heads(heads) * gate)
        return out
