"""The original's tensor-network expand-condense layers."""

from __future__ import annotations

from torch import nn

from nas.blocks.feedforward.tensor_network import TensorNetworkFeedforward
from nas.blocks.transformer.tn_expand_condense import TNTransformerExpandCondense
from nas.errors import InputError
from nas.interop.model_garden.alone import alone
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.heads import fill_attention
from nas.interop.model_garden.weights import Weights

PIECE = 128
"""The original cuts every token into pieces of this size."""


def tn_expand_condense(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `TensorNetworkFeedforward`; without its bias the original fails."""
    arguments.only("use_bias", True)
    block = TensorNetworkFeedforward(
        context.hidden_size,
        piece_size=_piece(context.hidden_size),
        ratio=arguments.get("proj_multiplier"),
        activation=arguments.activation("activation", "relu"),
        norm="none",
    )
    _fill(block, weights)
    return alone(block, arguments, context)


def tn_transformer(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `TNTransformerExpandCondense`, whose expansion is 4 whatever ``intermediate_size`` says."""
    arguments.ignore("intermediate_size", "intermediate_dropout")
    arguments.only("output_range", None, 0)
    norm_first = arguments.get("norm_first", False)
    block = TNTransformerExpandCondense(
        context.hidden_size,
        arguments.get("num_attention_heads"),
        arguments.activation("intermediate_activation"),
        piece_size=_piece(context.hidden_size),
        ratio=4,
        use_bias=arguments.get("use_bias", True),
        norm_first=norm_first,
        norm_epsilon=arguments.get("norm_epsilon", 1e-12),
        output_dropout=arguments.get("dropout_rate", 0.0),
        attention_dropout=arguments.get("attention_dropout_rate", 0.0),
    )
    site = "norm_before" if norm_first else "norm_after"
    fill_attention(block.attention, weights.below("attention_layer"))
    _fill(block.feedforward, weights.below("output_dense"))
    weights.fill(block.attention, **{site: weights.norm("attention_layer_norm")})
    weights.fill(block.feedforward, **{site: weights.norm("output_layer_norm")})
    return block


def _piece(hidden_size: int) -> int:
    if hidden_size % PIECE:
        raise InputError(f"TNExpandCondense needs a hidden_size divisible by {PIECE}: it is {hidden_size}")
    return PIECE


def _fill(block: TensorNetworkFeedforward, weights: Weights) -> None:
    """Fill from w1 [D, D], w2 [P, F], w3 [F, P], w4 [D / P, P, D] and the bias [D / P, 1, F]."""
    bias = "bias" if "bias" in weights else "b"
    weights.fill(
        block,
        before__weight=weights.take("w1"),
        expand__weight=weights.take("w2").T,
        inner_bias=weights.take(bias).squeeze(1),
        condense__weight=weights.take("w3").T,
        after__weight=weights.take("w4").flatten(0, 1).T,
    )


TRANSLATORS: dict[str, Translator] = {
    "TNExpandCondense": tn_expand_condense,
    "TNTransformerExpandCondense": tn_transformer,
}
