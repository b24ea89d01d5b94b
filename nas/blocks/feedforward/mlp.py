"""The two-layer feed-forward network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

from torch import Tensor, nn

from nas.blocks.activations import Activation, ActivationName, get_activation
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.growth import NEW_UNITS, SILENT_UNITS, Widening
from nas.errors import check_positive, check_probability


class MLP(ResidualBlock):
    """Widen each token, apply an activation, narrow it again.

    Vaswani et al. 2017 (arXiv 1706.03762); ``relu2`` is Primer's (arXiv 2109.08668). Difference:
    no biases unless asked.

    Args:
        hidden_size: D.
        inner_dim: the width in between; null: ``ratio * D``.
        ratio: used when ``inner_dim`` is null.
        activation: ``gelu`` is the exact one, ``gelu_tanh`` its approximation.
        bias: of both projections.
        inner_dropout: applied after the activation.
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
        ratio: float = 4.0,
        activation: ActivationName = "gelu",
        bias: bool = False,
        inner_dropout: float = 0.0,
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_positive(ratio=ratio, inner_dim=1 if inner_dim is None else inner_dim)
        check_probability(inner_dropout=inner_dropout)
        inner_dim = inner_dim or max(1, round(ratio * hidden_size))
        self.activation: Activation = get_activation(activation)
        self.inner = nn.Linear(hidden_size, inner_dim, bias=bias)
        self.inner_dropout = nn.Dropout(inner_dropout)
        self.output = nn.Linear(inner_dim, hidden_size, bias=bias)

    def effective_config(self) -> dict[str, Any]:
        """Name the width that was chosen, however it was said."""
        return {**super().effective_config(), "inner_dim": self.output.in_features, "ratio": None}

    @property
    def widenings(self) -> Mapping[str, Mapping[str, Widening]]:
        """``inner_dim`` may grow."""
        inner = NEW_UNITS
        return {"inner_dim": {"inner.weight": inner, "inner.bias": inner, "output.weight": SILENT_UNITS}}

    @property
    def label(self) -> str:
        """Always ``mlp``."""
        return "mlp"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of the two products."""
        return 4.0 * self.inner.in_features * self.inner.out_features

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D], each token by itself; the mask is not needed."""
        out: Tensor = self.output(self.inner_dropout(self.activation(self.inner(data))))
        return out
