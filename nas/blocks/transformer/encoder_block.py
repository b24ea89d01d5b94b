"""The transformer layer of the original scaffold: attention and a feed-forward network in one block."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, cast

from torch import Tensor, nn

from nas.blocks.activations import Activation, ActivationName, get_activation
from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.base import Block, Role
from nas.blocks.feedforward.mlp import MLP

Initializer = Callable[[Tensor], object]


class TransformerEncoderBlock(Block):
    """`MultiHeadAttention`, then `MLP`, with the argument names of the Model Garden's block.

    Vaswani et al. 2017 (arXiv 1706.03762) and Devlin et al. 2018 (arXiv 1810.04805). Differences
    from the Model Garden: the dropout after attention is ``output_dropout`` (there it is
    ``attention_dropout``, against its own documentation); grouped-query attention normalises over
    keys (there over queries); sizes are given, not read from the first input.

    Args:
        hidden_size: D.
        num_attention_heads: H.
        inner_dim: width of the feed-forward network; null: 4 D.
        inner_activation: a name (see `nas.blocks.activations`) or a function of one tensor.
        use_bias: of attention's projections; the feed-forward always has biases, as there.
        norm_first: normalise what attention and feed-forward read, not their sums.
        norm_epsilon: added to the variance.
        output_dropout: applied to what attention and feed-forward return.
        attention_dropout: applied to the attention weights.
        inner_dropout: applied after the activation.
        num_kv_heads: key and value heads; null: H; 1: multi-query.
        use_rms_norm: RMSNorm for the attention's norm; the feed-forward's stays LayerNorm.
        kernel_initializer: fills each projection's weight [out, in] in place; null: truncated
            normal, standard deviation 0.02. Biases start at 0.

    Raises:
        InputError: heads do not divide the hidden size, or a size or name is not allowed.
    """

    role: ClassVar[Role] = "transformer"

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        inner_dim: int | None = None,
        inner_activation: str | Callable[[Tensor], Tensor] = "gelu",
        *,
        use_bias: bool = True,
        norm_first: bool = False,
        norm_epsilon: float = 1e-12,
        output_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        inner_dropout: float = 0.0,
        num_kv_heads: int | None = None,
        use_rms_norm: bool = False,
        kernel_initializer: Callable[[Tensor], object] | None = None,
    ) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(
            hidden_size,
            num_attention_heads,
            num_kv_heads=num_kv_heads,
            position="none",
            bias=use_bias,
            attention_dropout=attention_dropout,
            norm="pre" if norm_first else "post",
            norm_type="rms" if use_rms_norm else "layer",
            norm_epsilon=norm_epsilon,
            dropout=output_dropout,
        )
        self.feedforward = MLP(
            hidden_size,
            inner_dim=inner_dim,
            activation=_checked(inner_activation),
            bias=True,
            inner_dropout=inner_dropout,
            norm="pre" if norm_first else "post",
            norm_epsilon=norm_epsilon,
            dropout=output_dropout,
        )
        _initialize(self, kernel_initializer or truncated_normal)

    @property
    def label(self) -> str:
        """Always ``layer``."""
        return "layer"

    def flops_per_token(self, seq_length: int) -> float:
        """Return the cost of both parts."""
        return self.attention.flops_per_token(seq_length) + self.feedforward.flops_per_token(seq_length)

    def forward(self, data: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Map ``data`` [B, T, D] to [B, T, D]; the mask is None, [B, T] or [B, T, T].

        Raises:
            InputError: the mask does not fit the data.
        """
        out: Tensor = self.feedforward(self.attention(data, attention_mask), attention_mask)
        return out


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
        kernel_initializer: Callable[[Tensor], object] | None = None,
    ) -> None:
        super().__init__(
            hidden_size,
            num_attention_heads,
            intermediate_size,
            get_activation(intermediate_activation, "intermediate_activation"),
            use_bias=use_bias,
            norm_first=norm_first,
            norm_epsilon=norm_epsilon,
            output_dropout=dropout_rate,
            attention_dropout=attention_dropout_rate,
            inner_dropout=intermediate_dropout,
            kernel_initializer=kernel_initializer,
        )


def truncated_normal(weight: Tensor) -> Tensor:
    """Fill with a normal distribution of deviation 0.02, cut at two deviations (BERT's)."""
    return nn.init.trunc_normal_(weight, std=0.02, a=-0.04, b=0.04)


def _checked(activation: str | Activation) -> ActivationName:
    """Return the function under the name's type: `MLP` offers names, and takes functions as well."""
    return cast(ActivationName, get_activation(activation, "inner_activation"))


def _initialize(block: nn.Module, kernel_initializer: Initializer) -> None:
    for module in block.modules():
        if isinstance(module, nn.Linear):
            kernel_initializer(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
