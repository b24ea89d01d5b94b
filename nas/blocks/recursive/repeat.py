"""A span of blocks run several times with the same weights."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nas.blocks.recursive.steps import StepEmbedding, StepEmbeddingKind
from nas.blocks.span import SpanBlock, States
from nas.errors import check_positive


class Repeat(SpanBlock):
    """Runs a span ``n`` times: depth without further weights.

    ALBERT (Lan et al. 2019, arXiv 1909.11942) repeats one transformer layer, the Universal
    Transformer (Dehghani et al. 2018, arXiv 1807.03819) does so with an embedding of the step.
    Difference: any blocks may be repeated; recursive states go from one pass to the next.

    Args:
        hidden_size: D.
        span: the blocks, name to class, partial or instance.
        n: how often the span runs.
        step_embedding: what is added to the data before each pass: ``none``, a ``learned`` vector
            for each step, or a ``sinusoid`` of the step.

    Raises:
        InputError: see `Span`; ``n`` is not positive, or ``step_embedding`` is unknown.
    """

    def __init__(
        self,
        hidden_size: int,
        span: dict[str, Any],
        *,
        n: int = 2,
        step_embedding: StepEmbeddingKind = "none",
    ) -> None:
        super().__init__(hidden_size, span)
        check_positive(n=n)
        self.n = n
        self.step_embedding = StepEmbedding(step_embedding, n, hidden_size)

    def start_as_identity(self) -> None:
        """Let every block of the span start so.

        Raises:
            InputError: one cannot, or steps are told apart.
        """
        if self.config["step_embedding"] != "none":
            super().start_as_identity()
        for block in dict.fromkeys(self.inner_blocks):
            block.start_as_identity()

    @property
    def label(self) -> str:
        """Such as ``repeat2(mha,mlp)``."""
        return f"repeat{self.n}({self.span.label})"

    @property
    def num_loops(self) -> int:
        """``n``."""
        return self.n

    def flops_per_token(self, seq_length: int) -> float:
        """Return the cost of ``n`` passes."""
        return self.n * self.span.flops_per_token(seq_length)

    def run(self, data: Tensor, attention_mask: Tensor | None, states: States) -> tuple[Tensor, States]:
        """Map [B, T, D] and all states to both anew."""
        masks = self.span.masks(data, attention_mask)
        for step in range(self.n):
            data, states = self.span(self.step_embedding(data, step), masks, states)
        return data, states
