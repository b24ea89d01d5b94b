"""A stack of gated feed-forward networks in one block, each with a norm of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Unpack, get_args

from torch import Tensor, nn

from nas.blocks.activations import Activation, ActivationName, get_activation
from nas.blocks.base import Composition, ResidualBlock, Role
from nas.blocks.growth import SILENT_UNITS, Widening, weights_of
from nas.errors import check_choice, check_positive, check_probability

DropSite = Literal["before_residual", "after_residual"]


class GatedFeedforward(ResidualBlock):
    """``num_blocks`` feed-forward networks, gated or not, each ``norm(data + network(data))``.

    The Model Garden's block of this name, after Shazeer 2020 (arXiv 2002.05202). `GLU` is one such
    network without the norm inside; a stack reaches further within one residual branch, as
    MobileBERT's does (arXiv 2004.02984). Differences: what comes out joins the residual stream like
    any block's (there it replaces it; that is ``norm="none"`` and `mix` alone); the activated half
    and the gate are one projection (``inner``, the activated half first).

    Args:
        hidden_size: D.
        inner_dim: the width in between; null: ``ratio * D``, rounded to a multiple of 8.
        ratio: used when ``inner_dim`` is null.
        activation: of the first half.
        use_gate: multiply by a second projection; else a plain two-layer network.
        num_blocks: networks in the stack.
        apply_output_layer_norm: each network's sum with its input is normalised (LayerNorm, epsilon
            1e-12); else the networks follow each other with neither sum nor norm.
        bias: of all projections.
        inner_dropout: applied to what each network returns.
        drop_site: ``before_residual`` drops from the network's output, ``after_residual`` from the
            normalised sum.
        **composition: see `ResidualBlock`.

    Raises:
        InputError: a size is not positive, or a name is unknown.
    """

    role: ClassVar[Role] = "feedforward"

    def __init__(
        self,
        hidden_size: int,
        *,
        inner_dim: int | None = None,
        ratio: float = 4 / 3,
        activation: ActivationName = "gelu",
        use_gate: bool = True,
        num_blocks: int = 2,
        apply_output_layer_norm: bool = True,
        bias: bool = True,
        inner_dropout: float = 0.0,
        drop_site: DropSite = "before_residual",
        **composition: Unpack[Composition],
    ) -> None:
        super().__init__(hidden_size, **composition)
        check_positive(ratio=ratio, num_blocks=num_blocks, inner_dim=1 if inner_dim is None else inner_dim)
        check_probability(inner_dropout=inner_dropout)
        check_choice("drop_site", drop_site, get_args(DropSite))
        inner_dim = inner_dim or max(8, 8 * round(ratio * hidden_size / 8))
        self.activation: Activation = get_activation(activation)
        self.use_gate = use_gate
        self.drop_after = drop_site == "after_residual"
        self.inner_dropout = nn.Dropout(inner_dropout)
        widened = 2 * inner_dim if use_gate else inner_dim
        stack = range(num_blocks)
        self.inner = nn.ModuleList(nn.Linear(hidden_size, widened, bias=bias) for _ in stack)
        self.output = nn.ModuleList(nn.Linear(inner_dim, hidden_size, bias=bias) for _ in stack)
        self.norms = (
            nn.ModuleList(nn.LayerNorm(hidden_size, eps=1e-12) for _ in stack)
            if apply_output_layer_norm
            else None
        )
        self._flops = 2.0 * num_blocks * hidden_size * (widened + inner_dim)
        self._inner_dim = inner_dim

    def effective_config(self) -> dict[str, Any]:
        """Name the width that was chosen; where dropout stands matters only around a norm."""
        config = {**super().effective_config(), "inner_dim": self._inner_dim, "ratio": None}
        if self.norms is None or not self.inner_dropout.p:
            config["drop_site"] = None
        return config

    @property
    def widenings(self) -> Mapping[str, Mapping[str, Widening]]:
        """``inner_dim`` may grow."""
        inner = Widening(parts=2 if self.use_gate else 1)
        table: dict[str, Widening] = {}
        for index in range(len(self.inner)):
            table |= {f"inner.{index}.{name}": inner for name in ("weight", "bias")}
            table[f"output.{index}.weight"] = SILENT_UNITS
        return {"inner_dim": table}

    def last_weights(self) -> list[Tensor]:
        """Return those of the last network's norm, or of its last product."""
        return weights_of(self.output[-1] if self.norms is None else self.norms[-1])

    @property
    def label(self) -> str:
        """``gated``, or ``stacked`` without gates; with the number of networks if that is not 1."""
        name = "gated" if self.use_gate else "stacked"
        return name if len(self.inner) == 1 else f"{name}{len(self.inner)}"

    def mix_flops(self, seq_length: int) -> float:
        """Return the cost of all products."""
        return self._flops

    def mix(self, data: Tensor, attention_mask: Tensor | None, *state: Any) -> Tensor:
        """Map [B, T, D] to [B, T, D], each token by itself; the mask is not needed."""
        for index in range(len(self.inner)):
            update = self._network(index, data)
            if not self.drop_after:
                update = self.inner_dropout(update)
            data = update if self.norms is None else self.norms[index](data + update)
            if self.drop_after:
                data = self.inner_dropout(data)
        return data

    def _network(self, index: int, data: Tensor) -> Tensor:
        """Return [B, T, D]: widen, activate, gate, narrow."""
        widened = self.inner[index](data)
        if self.use_gate:
            activated, gate = widened.chunk(2, dim=-1)
            widened = self.activation(activated) * gate
        else:
            widened = self.activation(widened)
        out: Tensor = self.output[index](widened)
        return out
