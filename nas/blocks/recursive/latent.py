"""A small span run many times over an answer and a latent thought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.span import Span, SpanHolder, States
from nas.errors import InputError, check_positive


class LatentRecursion(ResidualBlock, SpanHolder):
    """Thinks in a latent ``z``, then updates an answer ``y``, again and again with the same weights.

    Tiny Recursive Model (Jolicoeur-Martineau 2025, arXiv 2510.04871): a high cycle is ``low_cycles``
    times ``z = span(x + y + z)``, then ``y = span(y + z)``; only the last cycles are
    differentiated. Here ``x`` is the normalised data, and ``y`` is what joins the residual stream.
    Differences: y and z are normalised (RMS, no weights) after each pass, since the blocks of a
    span may be pre-norm (there post-norm layers do it); the block is a part of an encoder, so deep
    supervision (a loss and an optimizer step after each run over the high cycles, y and z carried
    on) is left out: it belongs to a training loop; so does the halting head that decides about it.

    Args:
        hidden_size: D.
        span: the blocks, name to class, partial or instance.
        high_cycles: updates of y (T in the paper, where 3 is best).
        low_cycles: updates of z for each of y (n in the paper, where 6 is best).
        gradient_cycles: only so many last high cycles are differentiated (1 in the paper); null: all.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: see `Span`; a number is not positive, or ``gradient_cycles`` exceeds ``high_cycles``.
    """

    role: ClassVar[Role] = "recursive"
    inner_layout: ClassVar[Literal["sequence", "parallel"]] = "sequence"
    answer: Tensor
    thought: Tensor

    def __init__(
        self,
        hidden_size: int,
        span: dict[str, Any],
        *,
        high_cycles: int = 2,
        low_cycles: int = 2,
        gradient_cycles: int | None = 1,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_positive(high_cycles=high_cycles, low_cycles=low_cycles)
        if gradient_cycles is not None and not 1 <= gradient_cycles <= high_cycles:
            raise InputError(
                f"gradient_cycles={gradient_cycles} must be between 1 and high_cycles={high_cycles}, or null"
            )
        self.span = Span(span, hidden_size)
        self.high_cycles = high_cycles
        self.low_cycles = low_cycles
        self.gradient_cycles = high_cycles if gradient_cycles is None else gradient_cycles
        for name in ("answer", "thought"):  # fixed, as in the paper: most runs start without a gradient
            self.register_buffer(name, nn.init.trunc_normal_(torch.empty(hidden_size)))

    @property
    def num_loops(self) -> int:
        """How often the span runs."""
        return self.high_cycles * (self.low_cycles + 1)

    def effective_config(self) -> dict[str, Any]:
        """Name the cycles in force."""
        return {**super().effective_config(), "gradient_cycles": self.gradient_cycles}

    @property
    def label(self) -> str:
        """Such as ``latent2x2(mha,mlp)``: high cycles, low cycles, blocks."""
        return f"latent{self.high_cycles}x{self.low_cycles}({self.span.label})"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of all passes."""
        return self.num_loops * self.span.flops_per_token(seq_length)

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Any) -> Any:
        """Map [B, T, D] to y, or to (y, states) if the block is recursive."""
        states: States = state[0] if state and isinstance(state[0], Mapping) else {}
        masks = self.span.masks(data, attention_mask)
        y, z = (start.to(data.dtype).expand_as(data) for start in (self.answer, self.thought))
        for cycle in range(self.high_cycles):
            differentiated = cycle >= self.high_cycles - self.gradient_cycles
            with torch.set_grad_enabled(torch.is_grad_enabled() and differentiated):
                for _ in range(self.low_cycles):
                    z, states = self._think(data + y + z, masks, states)
                y, states = self._think(y + z, masks, states)
        return (y, states) if self.recursive else y

    def _think(self, data: Tensor, masks: list[Tensor | None], states: States) -> tuple[Tensor, States]:
        """Run the span once and normalise the result; the states go on."""
        out, states = self.span(data, masks, states)
        return F.rms_norm(out, out.shape[-1:], eps=1e-6), states
