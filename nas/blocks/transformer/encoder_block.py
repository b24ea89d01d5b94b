"""The transformer layer of the original scaffold: attention and a feed-forward network in one block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from torch import Tensor, nn

from nas.blocks.activations import get_activation
from nas.blocks.positions.choose import AttentionPosition
from nas.blocks.transformer.attentions import block_settings, choose_attention, linformer_settings
from nas.blocks.transformer.layer import TransformerLayer, initialize, standard_mlp
from nas.masks import padding_of


class TransformerEncoderBlock(TransformerLayer):
    """Attention, then `MLP`, with the argument names of the Model Garden's block.

    Vaswani et al. 2017 (arXiv 1706.03762) and Devlin et al. 2018 (arXiv 1810.04805); with
    ``position: rope`` it is RoFormer's (Su et al. 2021, arXiv 2104.09864). Differences from the Model
    Garden: the dropout after attention is ``output_dropout`` (there it is ``attention_dropout``,
    against its own documentation); grouped-query and block-sparse attention normalise over keys
    (there over queries: ``softmax_axis``); a Linformer's queries are not masked (there all of them
    are, by the first token's padding: ``first_token_masks_queries``); sizes are given, not read from
    the first input.

    Args:
        hidden_size: D.
        num_attention_heads: H.
        inner_dim: width of the feed-forward network; null: 4 D.
        inner_activation: a name (see `nas.blocks.activations`) or a function of one tensor.
        position: see `MultiHeadAttention`, as is ``rope_theta``.
        rope_theta: the base of RoPE's angles.
        use_bias: of attention's projections; the feed-forward always has biases, as there.
        norm_first: normalise what attention and feed-forward read, not their sums.
        norm_epsilon: added to the variance.
        use_rms_norm: RMSNorm for the attention's norm; the feed-forward's stays LayerNorm.
        output_dropout: applied to what attention and feed-forward return.
        attention_dropout: applied to the attention weights.
        inner_dropout: applied after the activation.
        output_range: return the first so many tokens only, for the last layer of an encoder whose
            other tokens nobody reads; keys and values are made of all. Null: all.
        use_query_residual: false: attention's result replaces what it read.
        key_dim: K; null: D / H.
        num_kv_heads: key and value heads; null: H; 1: multi-query.
        src_block_size: queries in a block of `BlockSparseAttention`; null: no blocks.
        tgt_block_size: keys in such a block; null: ``src_block_size``.
        sigmoid_attn_bias: see ``sigmoid_bias`` of `BlockSparseAttention`; null: a softmax.
        linformer_dim: the number of mixtures of `LinformerAttention`; null: no mixtures.
        linformer_shared_kv_projection: keys and values are made of the same mixtures.
        max_seq_length: the longest input of a Linformer; an encoder tells its own if it is null.
        first_token_masks_queries: a Linformer's queries (and in post-norm the residual) are 0 where
            the sequence's first token is padding, as in the Model Garden.
        softmax_axis: -1: attention weights sum to 1 over keys; -2: over queries (of a block), as in
            the Model Garden's grouped-query and block-sparse attention.
        kernel_initializer: fills each projection's weight [out, in] in place; null: truncated
            normal, standard deviation 0.02. Biases start at 0.

    Raises:
        InputError: heads do not divide the hidden size, a size or name is not allowed, or settings
            exclude each other.
    """

    told_as: ClassVar[Mapping[str, str]] = {
        "num_heads": "num_attention_heads",
        "head_size": "key_dim",
        "block_size": "src_block_size",
        "key_block_size": "tgt_block_size",
        "sigmoid_bias": "sigmoid_attn_bias",
        "rank": "linformer_dim",
        "dropout": "output_dropout",
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
        use_bias: bool = True,
        norm_first: bool = False,
        norm_epsilon: float = 1e-12,
        use_rms_norm: bool = False,
        output_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        inner_dropout: float = 0.0,
        output_range: int | None = None,
        use_query_residual: bool = True,
        key_dim: int | None = None,
        num_kv_heads: int | None = None,
        src_block_size: int | None = None,
        tgt_block_size: int | None = None,
        sigmoid_attn_bias: float | None = None,
        linformer_dim: int | None = None,
        linformer_shared_kv_projection: bool = True,
        max_seq_length: int | None = None,
        first_token_masks_queries: bool = False,
        softmax_axis: int = -1,
        kernel_initializer: Callable[[Tensor], object] | None = None,
    ) -> None:
        attention = choose_attention(
            hidden_size,
            num_attention_heads,
            num_kv_heads=num_kv_heads,
            head_size=key_dim,
            bias=use_bias,
            attention_dropout=attention_dropout,
            softmax_axis=softmax_axis,
            position=position,
            rope_theta=rope_theta,
            linformer=linformer_settings(linformer_dim, linformer_shared_kv_projection, max_seq_length),
            block_sparse=block_settings(src_block_size, tgt_block_size, sigmoid_attn_bias),
        )
        super().__init__(
            hidden_size,
            attention,
            standard_mlp(hidden_size, inner_dim, inner_activation, inner_dropout),
            norm_first=norm_first,
            norm_type="rms" if use_rms_norm else "layer",
            norm_epsilon=norm_epsilon,
            dropout=output_dropout,
            query_residual=use_query_residual,
            output_range=output_range,
        )
        self.masks_queries = first_token_masks_queries and linformer_dim is not None
        initialize(self, kernel_initializer or truncated_normal)

    @property
    def label(self) -> str:
        """``layer``, with the attention unless that is multi-head attention of all heads."""
        return "layer" if self.is_plain else f"layer({self.attention.label})"

    def query_of(self, read: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return what the queries are made of; 0 in whole sequences if the first token masks them."""
        query = super().query_of(read, attention_mask)
        real = padding_of(attention_mask) if self.masks_queries else None
        return query if real is None else query * real[:, :1, None].to(query.dtype)


class Transformer(TransformerEncoderBlock):
    """`TransformerEncoderBlock` under its older argument names; the scaffold's default layer.

    Args:
        hidden_size: D.
        num_attention_heads: H.
        intermediate_size: width of the feed-forward network; null: 4 D.
        intermediate_activation: a name or a function of one tensor.
        dropout_rate: applied to what attention and feed-forward return.
        attention_dropout_rate: applied to the attention weights.
        intermediate_dropout: applied after the activation.
        norm_first: see `TransformerEncoderBlock`, as are the others.
    """

    told_as: ClassVar[Mapping[str, str]] = {
        **TransformerEncoderBlock.told_as,
        "inner_dim": "intermediate_size",
        "inner_dropout": "intermediate_dropout",
        "dropout": "dropout_rate",
        "attention_dropout": "attention_dropout_rate",
    }

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        intermediate_size: int | None = None,
        intermediate_activation: str | Callable[[Tensor], Tensor] = "gelu",
        *,
        dropout_rate: float = 0.0,
        attention_dropout_rate: float = 0.0,
        intermediate_dropout: float = 0.0,
        norm_first: bool = False,
        norm_epsilon: float = 1e-12,
        use_bias: bool = True,
        output_range: int | None = None,
        kernel_initializer: Callable[[Tensor], object] | None = None,
    ) -> None:
        get_activation(intermediate_activation, "intermediate_activation")
        super().__init__(
            hidden_size,
            num_attention_heads,
            intermediate_size,
            intermediate_activation,
            use_bias=use_bias,
            norm_first=norm_first,
            norm_epsilon=norm_epsilon,
            output_dropout=dropout_rate,
            attention_dropout=attention_dropout_rate,
            inner_dropout=intermediate_dropout,
            output_range=output_range,
            kernel_initializer=kernel_initializer,
        )


def truncated_normal(weight: Tensor) -> Tensor:
    """Fill with a normal distribution of deviation 0.02, cut at two deviations (BERT's)."""
    return nn.init.trunc_normal_(weight, std=0.02, a=-0.04, b=0.04)
