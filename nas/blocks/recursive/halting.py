"""A span run until each token has halted."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nas.blocks.losses import add_loss
from nas.blocks.recursive.steps import StepEmbedding, StepEmbeddingKind
from nas.blocks.span import SpanBlock, States
from nas.errors import InputError, check_probability
from nas.masks import padding_of


class AdaptiveHalting(SpanBlock):
    """Runs a span until each token decides that it is done: adaptive computation time.

    Graves 2016 (arXiv 1603.08983), per token as in the Universal Transformer (Dehghani et al. 2018,
    arXiv 1807.03819). After each step a token halts with a probability; it stops when they sum up
    to ``1 - epsilon``, and its output is the average of its steps' results, the last weighted by
    the remainder. A token that has halted is copied on, so that others still see it. Each real
    token's number of steps and remainder, on average, times ``ponder_weight`` is the auxiliary
    loss ``ponder``. Difference: always ``max_steps`` are computed, and those after a token's halt
    are masked: the graph is fixed, no time is saved.

    Args:
        hidden_size: D.
        span: the blocks, name to class, partial or instance.
        max_steps: the most steps of a token, at least 2.
        epsilon: a token halts once its probabilities sum up to ``1 - epsilon``.
        ponder_weight: of the auxiliary loss; 0: none.
        step_embedding: what is added to the data before each step: ``none``, ``learned`` or ``sinusoid``.

    Raises:
        InputError: see `Span`; ``max_steps`` is below 2, or another number is out of range.
    """

    def __init__(
        self,
        hidden_size: int,
        span: dict[str, Any],
        *,
        max_steps: int = 3,
        epsilon: float = 0.01,
        ponder_weight: float = 0.01,
        step_embedding: StepEmbeddingKind = "none",
    ) -> None:
        super().__init__(hidden_size, span)
        if max_steps < 2:
            raise InputError(f"max_steps={max_steps} must be at least 2: one step leaves nothing to halt")
        check_probability(epsilon=epsilon)
        if ponder_weight < 0:
            raise InputError(f"ponder_weight={ponder_weight} must not be negative")
        self.max_steps = max_steps
        self.epsilon = epsilon
        self.ponder_weight = ponder_weight
        self.step_embedding = StepEmbedding(step_embedding, max_steps, hidden_size)
        self.halt = nn.Linear(hidden_size, 1)
        nn.init.ones_(self.halt.bias)  # halt early at first, as Graves does

    @property
    def label(self) -> str:
        """Such as ``act3(mha,mlp)``."""
        return f"act{self.max_steps}({self.span.label})"

    @property
    def num_loops(self) -> int:
        """``max_steps``."""
        return self.max_steps

    def flops_per_token(self, seq_length: int) -> float:
        """Return the cost of ``max_steps`` steps, which are all computed."""
        halting = 2.0 * self.halt.in_features * (self.max_steps - 1)
        return self.max_steps * self.span.flops_per_token(seq_length) + halting

    def run(self, data: Tensor, attention_mask: Tensor | None, states: States) -> tuple[Tensor, States]:
        """Map [B, T, D] and all states to both anew."""
        masks = self.span.masks(data, attention_mask)
        out = torch.zeros_like(data)
        halted = data.new_zeros(*data.shape[:2], 1, dtype=torch.promote_types(data.dtype, torch.float32))
        ponder = halted
        for step in range(self.max_steps):
            running = halted < 1 - self.epsilon
            new, states = self.span(self.step_embedding(data, step), masks, states)
            data = torch.where(running, new, data)
            weight, stops = self._weight(data, halted, running, last=step == self.max_steps - 1)
            ponder = ponder + running + torch.where(stops, 1 - halted, 0)
            out = out + (weight * data).to(data.dtype)
            halted = halted + weight
        self._add_ponder(ponder.squeeze(-1), attention_mask)
        return out, states

    def _weight(self, data: Tensor, halted: Tensor, running: Tensor, *, last: bool) -> tuple[Tensor, Tensor]:
        """Return this step's part in the output, and which tokens stop after it, both [B, T, 1]."""
        if last:
            return torch.where(running, 1 - halted, 0), running
        chance = torch.sigmoid(self.halt(data).to(halted.dtype))
        stops = running & (halted + chance >= 1 - self.epsilon)
        return torch.where(stops, 1 - halted, torch.where(running, chance, 0)), stops

    def _add_ponder(self, ponder: Tensor, attention_mask: Tensor | None) -> None:
        """Add the auxiliary loss: steps and remainder, averaged over the real tokens."""
        if not self.ponder_weight:
            return
        real = padding_of(attention_mask)
        if real is None:
            add_loss("ponder", self.ponder_weight * ponder.mean())
        else:
            mean = torch.where(real, ponder, 0).sum() / real.sum().clamp(min=1)
            add_loss("ponder", self.ponder_weight * mean)
