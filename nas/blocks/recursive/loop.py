"""A span run several times that reads the block's input again at every step."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from nas.blocks.span import SpanBlock, States
from nas.errors import InputError, check_choice, check_positive

Injection = Literal["add", "concat", "gate"]


class Inject(nn.Module):
    """Joins what a loop has so far with the loop's input.

    ``add``: their sum (looped transformers, Yang et al. 2023, arXiv 2311.12424). ``concat``: a
    projection of both, which starts as their mean (the adapter of Geiping et al. 2025, arXiv
    2502.05171). ``gate``: a learnt part of each feature from either.
    """

    def __init__(self, kind: Injection, hidden_size: int) -> None:
        super().__init__()
        self.kind = kind
        self.linear = None if kind == "add" else nn.Linear(2 * hidden_size, hidden_size)
        if kind == "concat" and self.linear is not None:
            half = 0.5 * torch.eye(hidden_size)
            self.linear.weight = nn.Parameter(torch.cat([half, half], dim=1))
            nn.init.zeros_(self.linear.bias)

    @property
    def flops_per_token(self) -> float:
        """The projection's product."""
        return 0.0 if self.linear is None else 2.0 * self.linear.in_features * self.linear.out_features

    def start(self, data: Tensor) -> Tensor:
        """Return what the loop has before its first step, which then reads ``data`` alone."""
        return torch.zeros_like(data) if self.kind == "add" else data

    def forward(self, current: Tensor, data: Tensor) -> Tensor:
        """Return what the next step reads, [B, T, D], from two of that shape."""
        if self.linear is None:
            return current + data
        joined = self.linear(torch.cat([current, data], dim=-1)).to(data.dtype)
        return joined if self.kind == "concat" else torch.lerp(data, current, torch.sigmoid(joined))


class Loop(SpanBlock):
    """Runs a span ``n`` times, its input injected at every step; ``n`` may differ when testing.

    Deep equilibrium models (Bai et al. 2019, arXiv 1909.01377) inject the input so that more steps
    lead on to a fixed point and not away from the input; looped transformers are trained so with
    few steps and tested with more. Differences: any blocks may be looped; no root is searched for.
    With ``n_min``, each sequence of a training batch gets its own number of steps, ``n_min`` to
    ``n``: it waits at the start, so that all end together and ``gradient_steps`` means the same
    for all (Geiping et al. 2025 draw one number for the whole batch). Computed are always ``n``.

    Args:
        hidden_size: D.
        span: the blocks, name to class, partial or instance.
        n: the number of steps in training.
        n_test: the number in evaluation; null: ``n``. Weights do not depend on it.
        injection: how the input joins what each step reads: ``add``, ``concat`` or ``gate``.
        n_min: the least number of steps in training, drawn evenly; null: always ``n``.
        gradient_steps: only so many last steps are differentiated; null: all.

    Raises:
        InputError: see `Span`; a number is not positive or more than ``n``, or ``injection`` is unknown.
    """

    def __init__(
        self,
        hidden_size: int,
        span: dict[str, Any],
        *,
        n: int = 3,
        n_test: int | None = None,
        injection: Injection = "add",
        n_min: int | None = None,
        gradient_steps: int | None = None,
    ) -> None:
        super().__init__(hidden_size, span)
        check_choice("injection", injection, get_args(Injection))
        check_positive(n=n, n_test=1 if n_test is None else n_test)
        _check_part("n_min", n_min, n)
        _check_part("gradient_steps", gradient_steps, n)
        self.n = n
        self.n_test = n if n_test is None else n_test
        self.n_min = n if n_min is None else n_min
        self.gradient_steps = gradient_steps
        self.inject = Inject(injection, hidden_size)

    def effective_config(self) -> dict[str, Any]:
        """Name the numbers of steps in force."""
        config = super().effective_config()
        differentiated = self.n if self.gradient_steps is None else self.gradient_steps
        return {**config, "n_test": self.n_test, "n_min": self.n_min, "gradient_steps": differentiated}

    @property
    def label(self) -> str:
        """Such as ``loop3(mha,mlp)``, with the number of steps in training."""
        return f"loop{self.n}({self.span.label})"

    @property
    def num_loops(self) -> int:
        """``n``."""
        return self.n

    def flops_per_token(self, seq_length: int) -> float:
        """Return the cost of the ``n`` steps in training."""
        return self.n * (self.span.flops_per_token(seq_length) + self.inject.flops_per_token)

    def run(self, data: Tensor, attention_mask: Tensor | None, states: States) -> tuple[Tensor, States]:
        """Map [B, T, D] and all states to both anew."""
        masks = self.span.masks(data, attention_mask)
        steps = self.n if self.training else self.n_test
        without = 0 if self.gradient_steps is None else steps - self.gradient_steps
        waits = self._waits(data)
        current = self.inject.start(data)
        for step in range(steps):
            with torch.set_grad_enabled(torch.is_grad_enabled() and step >= without):
                new, states = self.span(self.inject(current, data), masks, states)
                current = new if waits is None else torch.where(step >= waits, new, current)
        return current, states

    def _waits(self, data: Tensor) -> Tensor | None:
        """Return how many steps each sequence waits, [B, 1, 1], or None if none does."""
        if not self.training or self.n_min == self.n:
            return None
        return torch.randint(self.n - self.n_min + 1, (data.shape[0], 1, 1), device=data.device)


def _check_part(name: str, value: int | None, n: int) -> None:
    if value is not None and not 1 <= value <= n:
        raise InputError(f"{name}={value} must be between 1 and n={n}, or null")
