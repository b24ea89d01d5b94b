"""A transformer layer whose mixers start switched off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from nas.blocks.growth import silence
from nas.blocks.positions.choose import AttentionPosition
from nas.blocks.transformer.attentions import block_settings, choose_attention
from nas.blocks.transformer.encoder_block import truncated_normal
from nas.blocks.transformer.layer import TransformerLayer, initialize, standard_mlp


class ReZeroTransformer(TransformerLayer):
    """Attention, then `MLP`, each added times a learnt number that starts at 0.

    Bachlechner et al. 2020 (arXiv 2003.04887), as in the Model Garden. The residual scheme ``rezero``
    does the same to any block, with a number for each; here both mixers may share one.

    Args:
        hidden_size: D.
        num_attention_heads: H.
        inner_dim: width of the feed-forward network; null: 4 D.
        inner_activation: a name (see `nas.blocks.activations`) or a function of one tensor.
        position: see `MultiHeadAttention`, as is ``rope_theta``.
        rope_theta: the base of RoPE's angles.
        share_rezero: both mixers share their number.
        use_layer_norm: normalise both sums (LayerNorm, epsilon 1e-12).
        dropout_rate: applied to what attention and feed-forward return.
        attention_dropout_rate: applied to the attention weights.
        output_range: see `TransformerEncoderBlock`, as are the arguments after it.
        num_kv_heads: key and value heads; null: H; 1: multi-query.
        src_block_size: queries in a block of `BlockSparseAttention`; null: no blocks.
        tgt_block_size: keys in such a block; null: ``src_block_size``.
        softmax_axis: -1: attention weights sum to 1 over keys; -2: over queries.
        kernel_initializer: fills each projection's weight; null: truncated normal, 0.02.

    Raises:
        InputError: see `TransformerEncoderBlock`.
    """

    told_as: ClassVar[Mapping[str, str]] = {
        "num_heads": "num_attention_heads",
        "block_size": "src_block_size",
        "key_block_size": "tgt_block_size",
        "dropout": "dropout_rate",
        "attention_dropout": "attention_dropout_rate",
    }

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        inner_dim: int | None = None,
        inner_activation: str | Callable[[Tensor], Tensor] = "gelu",
        *,
        position: AttentionPosition = "none",
        rope_theta: float = 10000.0,
        share_rezero: bool = True,
        use_layer_norm: bool = False,
        dropout_rate: float = 0.0,
        attention_dropout_rate: float = 0.0,
        output_range: int | None = None,
        num_kv_heads: int | None = None,
        src_block_size: int | None = None,
        tgt_block_size: int | None = None,
        softmax_axis: int = -1,
        kernel_initializer: Callable[[Tensor], object] | None = None,
    ) -> None:
        attention = choose_attention(
            hidden_size,
            num_attention_heads,
            num_kv_heads=num_kv_heads,
            bias=True,
            attention_dropout=attention_dropout_rate,
            softmax_axis=softmax_axis,
            position=position,
            rope_theta=rope_theta,
            block_sparse=block_settings(src_block_size, tgt_block_size),
        )
        super().__init__(
            hidden_size,
            attention,
            standard_mlp(hidden_size, inner_dim, inner_activation),
            norm_first=False,
            norm_epsilon=1e-12,
            dropout=dropout_rate,
            output_range=output_range,
        )
        if not use_layer_norm:
            self.attention_norm, self.feedforward_norm = nn.Identity(), nn.Identity()
        initialize(self, kernel_initializer or truncated_normal)
        self.scales = nn.Parameter(torch.zeros(1 if share_rezero else 2))

    @property
    def label(self) -> str:
        """``rezero``, with the attention unless that is multi-head attention of all heads."""
        return "rezero" if self.is_plain else f"rezero({self.attention.label})"

    def start_as_identity(self) -> None:
        """Set the scales to 0, as they are at first.

        Raises:
            InputError: the layer normalises its sums, or returns fewer tokens.
        """
        if self.config["use_layer_norm"] or self.output_range is not None:
            super().start_as_identity()
        silence([self.scales])

    def _join(self, data: Tensor, mixed: Tensor) -> Tensor:
        return super()._join(data, self.scales[0].to(mixed.dtype) * mixed)

    def _within(self, data: Tensor, attention_mask: Tensor | None) -> Tensor:
        update = super()._within(data, attention_mask)
        return self.scales[-1].to(update.dtype) * update
