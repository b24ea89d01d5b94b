"""The gated feed-forward network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

from torch import Tensor, nn

from nas.blocks.activations import Activation, ActivationName, get_activation
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.growth import SILENT_UNITS, Widening
from nas.errors import check_positive, check_probability

_LABELS: dict[str, str] = {
    "gelu": "geglu",
    "gelu_tanh": "geglu",
    "relu": "reglu",
    "relu2": "relu2glu",
    "silu": "swiglu",
}


class GLU(ResidualBlock):
    """Widen each token twice, multiply one half by the other's activation, narrow the product.

    Shazeer 2020 (arXiv 2002.05202): GEGLU, SwiGLU, ReGLU. Differences: gate and value are one
    projection (``inner``, the gate first); the inner width is a multiple of 8.

    Args:
        hidden_size: D.
        inner_dim: the width in between; null: ``ratio * D``, rounded to a multiple of 8.
        ratio: used when ``inner_dim`` is null; 8/3 has as many weights as an MLP at 4.
        activation: of the gate.
        bias: of both projections.
        inner_dropout: applied to the product.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: a size is not positive, or the activation is unknown.
    """

    role: ClassVar[Role] = "feedforward"
    tokenwise: ClassVar[bool] = True

    def __init__(
        self,
        hidden_size: int,
        *,
        inner_dim: int | None = None,
        ratio: float = 8 / 3,
        activation: ActivationName = "silu",
        bias: bool = False,
        inner_dropout: float = 0.0,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_positive(ratio=ratio, inner_dim=1 if inner_dim is None else inner_dim)
        check_probability(inner_dropout=inner_dropout)
        inner_dim = inner_dim or max(8, 8 * round(ratio * hidden_size / 8))
        self.activation: Activation = get_activation(activation)
        self._label = _LABELS.get(activation, f"{activation.replace('_', '')}glu")
        self.inner = nn.Linear(hidden_size, 2 * inner_dim, bias=bias)
        self.inner_dropout = nn.Dropout(inner_dropout)
        self.output = nn.Linear(inner_dim, hidden_size, bias=bias)

    def effective_config(self) -> dict[str, Any]:
        """Name the width that was chosen, however it was said."""
        return {**super().effective_config(), "inner_dim": self.output.in_features, "ratio": None}

    @property
    def widenings(self) -> Mapping[str, Mapping[str, Widening]]:
        """``inner_dim`` may grow."""
        inner = Widening(parts=2)
        return {"inner_dim": {"inner.weight": inner, "inner.bias": inner, "output.weight": SILENT_UNITS}}

    @property
    def label(self) -> str:
        """By the activation: ``geglu``, ``swiglu``, ``reglu`` or ``relu2glu``."""
        return self._label

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of the two products."""
        return 6.0 * self.output.in_features * self.output.out_features

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D], each token by itself; the mask is not needed."""
        gate, value = self.inner(data).chunk(2, dim=-1)
        out: Tensor = self.output(self.inner_dropout(self.activation(gate) * value))
        return out
