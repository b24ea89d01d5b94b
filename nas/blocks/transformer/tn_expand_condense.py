"""The transformer layer whose feed-forward is a tensor network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, cast

from torch import Tensor

from nas.blocks.activations import Activation, ActivationName, get_activation
from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.base import Block, Role
from nas.blocks.feedforward.tensor_network import TensorNetworkFeedforward


class TNTransformerExpandCondense(Block):
    """`MultiHeadAttention`, then `TensorNetworkFeedforward`: the Model Garden's layer of this name.

    Differences: pieces of any size, any expansion and a rank (there 128, 4 and full); pre-norm works
    (there it fails together with ``output_range``); dropout after the activation is applied (there
    it is taken and not used).

    Args:
        hidden_size: D.
        num_attention_heads: H.
        inner_activation: a name (see `nas.blocks.activations`) or a function of one tensor.
        piece_size: what a token is cut into; null: the largest divisor below D up to 128.
        ratio: each piece is widened to ``ratio`` times its size.
        rank: of the products around the pieces; null: full.
        use_bias: of attention's projections; the tensor network always has its bias, as there.
        norm_first: normalise what attention and feed-forward read, not their sums.
        norm_epsilon: added to the variance.
        output_dropout: applied to what attention and feed-forward return.
        attention_dropout: applied to the attention weights.
        inner_dropout: applied after the activation.

    Raises:
        InputError: heads or pieces do not divide the hidden size, or a size or name is not allowed.
    """

    role: ClassVar[Role] = "transformer"
    told_as: ClassVar[Mapping[str, str]] = {"num_heads": "num_attention_heads", "dropout": "output_dropout"}

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        inner_activation: str | Callable[[Tensor], Tensor] = "gelu",
        *,
        piece_size: int | None = None,
        ratio: float = 4.0,
        rank: int | None = None,
        use_bias: bool = True,
        norm_first: bool = False,
        norm_epsilon: float = 1e-12,
        output_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        inner_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(
            hidden_size,
            num_attention_heads,
            position="none",
            bias=use_bias,
            attention_dropout=attention_dropout,
            norm="pre" if norm_first else "post",
            norm_epsilon=norm_epsilon,
            dropout=output_dropout,
        )
        self.feedforward = TensorNetworkFeedforward(
            hidden_size,
            piece_size=piece_size,
            ratio=ratio,
            rank=rank,
            activation=_checked(inner_activation),
            inner_dropout=inner_dropout,
            norm="pre" if norm_first else "post",
            norm_epsilon=norm_epsilon,
            dropout=output_dropout,
        )
        self.piece_size = self.feedforward.piece_size

    def effective_config(self) -> dict[str, object]:
        """Name the size of the pieces that was chosen."""
        return {**super().effective_config(), "piece_size": self.piece_size}

    @property
    def label(self) -> str:
        """Always ``tnlayer``."""
        return "tnlayer"

    def flops_per_token(self, seq_length: int) -> float:
        """Return the cost of both parts."""
        return self.attention.flops_per_token(seq_length) + self.feedforward.flops_per_token(seq_length)

    def forward(self, data: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Map ``data`` [B, T, D] to [B, T, D]; the mask is None, [B, T] or [B, T, T].

        Raises:
            InputError: the mask does not fit the data.
        """
        self.check_inputs(data, attention_mask)
        out: Tensor = self.feedforward(self.attention(data, attention_mask), attention_mask)
        return out


def _checked(activation: str | Activation) -> ActivationName:
    """Return the function under the name's type: the feed-forward offers names, and takes functions too."""
    return cast(ActivationName, get_activation(activation, "inner_activation"))
