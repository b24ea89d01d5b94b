"""The Transformer-XL layer: relative attention and a feed-forward network in one block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from nas.blocks.activations import ActivationName
from nas.blocks.attention.relative import RelativeAttention
from nas.blocks.base import Block, Role
from nas.blocks.feedforward.mlp import MLP
from nas.errors import check_probability


class TransformerXLBlock(Block):
    """`RelativeAttention`, then `MLP`, with the argument names of the Model Garden's block.

    Dai et al. 2019 (arXiv 1901.02860). Differences: bidirectional unless ``causal`` (there by the
    mask); the block owns the biases u and v, and makes the distances' sinusoids (there all are
    inputs); ``norm_first`` is new. XLNet's second stream and segments are not part of the block
    (see `nas.interop.model_garden.relative`).

    Args:
        hidden_size: D.
        num_attention_heads: H.
        head_size: K; null: D / H.
        inner_size: width of the feed-forward network; null: 4 D.
        dropout_rate: applied to what the feed-forward returns.
        attention_dropout_rate: applied to the attention weights, and to what attention returns.
        inner_dropout: applied after the activation.
        inner_activation: a name; see `nas.blocks.activations`.
        causal: see no later token.
        biases: whether u and v are there.
        norm_first: normalise what attention and feed-forward read, not the sums.
        norm_epsilon: added to the variance.

    Raises:
        InputError: heads do not divide the hidden size, or a size or name is not allowed.
    """

    role: ClassVar[Role] = "transformer"
    told_as: ClassVar[Mapping[str, str]] = {
        "num_heads": "num_attention_heads",
        "inner_dim": "inner_size",
        "activation": "inner_activation",
        "dropout": "dropout_rate",
    }

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        *,
        head_size: int | None = None,
        inner_size: int | None = None,
        dropout_rate: float = 0.0,
        attention_dropout_rate: float = 0.0,
        inner_dropout: float = 0.0,
        inner_activation: ActivationName = "relu",
        causal: bool = False,
        biases: bool = True,
        norm_first: bool = False,
        norm_epsilon: float = 1e-12,
    ) -> None:
        super().__init__()
        check_probability(attention_dropout_rate=attention_dropout_rate)  # the name of two inside
        self.attention = RelativeAttention(
            hidden_size,
            num_attention_heads,
            head_size=head_size,
            causal=causal,
            biases=biases,
            attention_dropout=attention_dropout_rate,
            norm="pre" if norm_first else "post",
            norm_epsilon=norm_epsilon,
            dropout=attention_dropout_rate,
        )
        self.feedforward = MLP(
            hidden_size,
            inner_dim=inner_size,
            activation=inner_activation,
            bias=True,
            inner_dropout=inner_dropout,
            norm="pre" if norm_first else "post",
            norm_epsilon=norm_epsilon,
            dropout=dropout_rate,
        )

    @property
    def label(self) -> str:
        """Always ``xl``."""
        return "xl"

    def flops_per_token(self, seq_length: int) -> float:
        """Return the cost of both parts, without a memory."""
        return self.attention.flops_per_token(seq_length) + self.feedforward.flops_per_token(seq_length)

    def forward(
        self, data: Tensor, attention_mask: Tensor | None = None, memory: Tensor | None = None
    ) -> Tensor:
        """Map ``data`` [B, T, D] to [B, T, D]; mask and memory as in `RelativeAttention`.

        Raises:
            InputError: the mask or the memory does not fit the data.
        """
        self.check_inputs(data, attention_mask)
        out: Tensor = self.feedforward(self.attention(data, attention_mask, memory), attention_mask)
        return out
