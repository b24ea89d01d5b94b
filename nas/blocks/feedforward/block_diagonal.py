"""The feed-forward network whose second product is block diagonal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from nas.blocks.activations import Activation, ActivationName, get_activation
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.growth import SILENT_UNITS, Widening
from nas.errors import InputError, check_positive, check_probability


class BlockDiagonalFeedforward(ResidualBlock):
    """Widen each token, then narrow each of ``num_blocks`` parts by itself, and mix the parts.

    The Model Garden's ``BlockDiagFeedforward``: the second product has ``num_blocks`` times fewer
    weights and operations; the mixing has ``num_blocks ** 2`` more. Differences: no biases unless
    asked; the result joins the residual stream (there, in a post-norm layer, it replaces it).

    Args:
        hidden_size: D.
        inner_dim: the width in between; null: ``ratio * D``, rounded to a multiple of ``num_blocks``.
        ratio: used when ``inner_dim`` is null.
        num_blocks: N, parts of the second product; divides D and the width in between.
        apply_mixing: replace the N parts of the result by N learnt sums of them.
        activation: of the first product.
        bias: of both products; mixing has none.
        inner_dropout: applied after the activation.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: a size is not positive or not divisible, or the activation is unknown.
    """

    role: ClassVar[Role] = "feedforward"

    def __init__(
        self,
        hidden_size: int,
        *,
        inner_dim: int | None = None,
        ratio: float = 4.0,
        num_blocks: int = 4,
        apply_mixing: bool = True,
        activation: ActivationName = "gelu",
        bias: bool = False,
        inner_dropout: float = 0.0,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_positive(ratio=ratio, num_blocks=num_blocks, inner_dim=1 if inner_dim is None else inner_dim)
        check_probability(inner_dropout=inner_dropout)
        inner_dim = inner_dim or num_blocks * max(1, round(ratio * hidden_size / num_blocks))
        _check_divides(num_blocks, hidden_size=hidden_size, inner_dim=inner_dim)
        self.activation: Activation = get_activation(activation)
        self.num_blocks = num_blocks
        self.inner = nn.Linear(hidden_size, inner_dim, bias=bias)
        self.inner_dropout = nn.Dropout(inner_dropout)
        parts = (num_blocks, inner_dim // num_blocks, hidden_size // num_blocks)
        self.output = nn.Parameter(torch.empty(parts))
        self.output_bias = nn.Parameter(torch.zeros(hidden_size)) if bias else None
        self.mixing = nn.Parameter(torch.empty(num_blocks, num_blocks)) if apply_mixing else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Fill the parts as `torch.nn.Linear` does, and let mixing keep the size of what it mixes."""
        bound = self.output.shape[1] ** -0.5
        nn.init.uniform_(self.output, -bound, bound)
        if self.mixing is not None:
            bound = (3 / self.num_blocks) ** 0.5
            nn.init.uniform_(self.mixing, -bound, bound)

    def effective_config(self) -> dict[str, Any]:
        """Name the width that was chosen, however it was said."""
        return {**super().effective_config(), "inner_dim": self.inner.out_features, "ratio": None}

    @property
    def widenings(self) -> Mapping[str, Mapping[str, Widening]]:
        """``inner_dim`` may grow: every part gets new units."""
        inner = Widening(parts=self.num_blocks)
        return {"inner_dim": {"inner.weight": inner, "inner.bias": inner, "output": SILENT_UNITS}}

    def last_weights(self) -> list[Tensor]:
        """Return those of the second product; mixing adds nothing to 0."""
        return [self.output] if self.output_bias is None else [self.output, self.output_bias]

    @property
    def label(self) -> str:
        """Always ``blockdiag``."""
        return "blockdiag"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of the products and of the mixing."""
        hidden_size, inner_dim = self.inner.in_features, self.inner.out_features
        mixing = hidden_size * self.num_blocks if self.mixing is not None else 0
        return 2.0 * (hidden_size * inner_dim * (1 + 1 / self.num_blocks) + mixing)

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Any) -> Tensor:
        """Map [B, T, D] to [B, T, D], each token by itself; the mask is not needed."""
        inner = self.inner_dropout(self.activation(self.inner(data)))
        parts = inner.unflatten(-1, (self.num_blocks, -1)).flatten(0, 1).transpose(0, 1)
        narrowed = torch.bmm(parts, self.output)  # [N, B * T, D / N]
        if self.output_bias is not None:
            narrowed = narrowed + self.output_bias.view(self.num_blocks, 1, -1)
        if self.mixing is not None:
            narrowed = (self.mixing.T @ narrowed.flatten(1)).view_as(narrowed)
        return narrowed.transpose(0, 1).reshape(data.shape)


def _check_divides(num_blocks: int, **sizes: int) -> None:
    wrong = [
        f"num_blocks={num_blocks} must divide {name}={size}"
        for name, size in sizes.items()
        if size % num_blocks
    ]
    if wrong:
        raise InputError(*wrong)
