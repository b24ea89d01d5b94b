"""A transformer layer that reuses the attention weights of the layer before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from torch import Tensor

from nas.blocks.recursive.reuse import ReuseAttention
from nas.blocks.transformer.encoder_block import truncated_normal
from nas.blocks.transformer.layer import TransformerLayer, initialize, rows_of, standard_mlp


class ReuseTransformer(TransformerLayer):
    """`ReuseAttention`, then `MLP`, with the argument names of the Model Garden's layer.

    Bhojanapalli et al. 2021 (arXiv 2110.06821). The state is `ReuseAttention`'s, so that both kinds of
    block may stand in one list. Differences from the Model Garden: a layer that finds no state
    computes all weights, where that is known when it is built (``has_state``); sizes are given.

    Args:
        hidden_size: D.
        num_attention_heads: H.
        inner_dim: width of the feed-forward network; null: 4 D.
        inner_activation: a name (see `nas.blocks.activations`) or a function of one tensor.
        reuse_attention: how many heads are taken over; -1: all.
        layer_idx: the layer's index, if the encoder feeds it (``feed_layer_idx``): 0 reuses nothing.
        max_reuse_layer_idx: layers of a greater index reuse nothing; null: all others do.
        has_state: whether a layer of this kind stands before; see `ReuseAttention`. An encoder tells it.
        use_relative_pe: add a learnt number by distance to the scores of new heads.
        pe_max_seq_length: distances of this many tokens and more count as one.
        head_size: K; null: D / H.
        use_bias: of attention's projections; the feed-forward always has biases, as there.
        norm_first: normalise what attention and feed-forward read, not their sums.
        norm_epsilon: added to the variance.
        output_dropout: applied to what attention and feed-forward return.
        attention_dropout: applied to the attention weights.
        inner_dropout: applied after the activation.
        output_range: see `TransformerEncoderBlock`.
        kernel_initializer: fills each projection's weight; null: truncated normal, 0.02.

    Raises:
        InputError: a size, a number of heads or a name is not allowed.
    """

    recursive: ClassVar[bool] = True
    state_kind: ClassVar[str] = ReuseAttention.state_kind
    told_as: ClassVar[Mapping[str, str]] = {
        "num_heads": "num_attention_heads",
        "reuse_heads": "reuse_attention",
        "relative_positions": "pe_max_seq_length",
        "dropout": "output_dropout",
    }

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        inner_dim: int | None = None,
        inner_activation: str | Callable[[Tensor], Tensor] = "gelu",
        *,
        reuse_attention: int = -1,
        layer_idx: int | None = None,
        max_reuse_layer_idx: int | None = None,
        has_state: bool | None = None,
        use_relative_pe: bool = False,
        pe_max_seq_length: int = 512,
        head_size: int | None = None,
        use_bias: bool = True,
        norm_first: bool = False,
        norm_epsilon: float = 1e-12,
        output_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        inner_dropout: float = 0.0,
        output_range: int | None = None,
        kernel_initializer: Callable[[Tensor], object] | None = None,
    ) -> None:
        beyond = max_reuse_layer_idx is not None and (layer_idx or 0) > max_reuse_layer_idx
        attention = ReuseAttention(
            hidden_size,
            num_attention_heads,
            reuse_heads=0 if layer_idx == 0 or beyond else reuse_attention,
            has_state=has_state,
            head_size=head_size,
            relative_positions=pe_max_seq_length if use_relative_pe else None,
            bias=use_bias,
            attention_dropout=attention_dropout,
            norm="none",
        )
        super().__init__(
            hidden_size,
            attention,
            standard_mlp(hidden_size, inner_dim, inner_activation, inner_dropout),
            norm_first=norm_first,
            norm_epsilon=norm_epsilon,
            dropout=output_dropout,
            output_range=output_range,
        )
        initialize(self, kernel_initializer or truncated_normal)

    @property
    def label(self) -> str:
        """Always ``layer(reuse)``."""
        return "layer(reuse)"

    def forward(  # type: ignore[override]
        self, data: Tensor, attention_mask: Tensor | None = None, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map ``data`` [B, T, D] and the state [B, H, T, T] to both anew.

        Raises:
            InputError: the mask does not fit the data, or the state is missing or of another shape.
        """
        self.check_inputs(data, attention_mask)
        query, key_value = self._read(data, attention_mask)
        rows = rows_of(attention_mask, self.output_range)
        seen = state if state is None else state[:, :, : self.output_range]
        mixed, new_state = self.attention.mix(query, rows, seen, key_value=key_value)  # type: ignore[call-arg]
        return self._finish(data, query, mixed, attention_mask), new_state
