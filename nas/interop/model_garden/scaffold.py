"""The original's TransformerScaffold."""

from __future__ import annotations

from typing import Any

from torch import nn

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.transformer.scaffold import TransformerScaffold
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.attention import by_itself
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.forms import ClassForm
from nas.interop.model_garden.heads import fill_attention
from nas.interop.model_garden.weights import Weights

SWALLOWED = (
    "intermediate_activation",
    "output_range",
    "output_dropout",
    "attention_dropout",
    "inner_dropout",
    "use_bias",
    "attention_axes",
    "share_rezero",
)
"""Arguments of other layers that the original takes and drops."""


def transformer_scaffold(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `TransformerScaffold` that has the original's residuals and its un-normalised keys."""
    arguments.ignore(*SWALLOWED)
    feedforward_cls = arguments.get("feedforward_cls", None)
    norm_first = arguments.get("norm_first", False)
    block = TransformerScaffold(
        context.hidden_size,
        arguments.get("num_attention_heads"),
        attention_cls=_attention(arguments, weights, context),
        feedforward_cls=_feedforward(arguments, weights, context),
        norm_first=norm_first,
        norm_epsilon=arguments.get("norm_epsilon", 1e-12),
        dropout_rate=arguments.get("dropout_rate", 0.0),
        key_value_norm=not norm_first,
        feedforward_residual=feedforward_cls is None,
    )
    weights.fill(block, attention_norm=weights.norm("attention_layer_norm"))
    if norm_first or feedforward_cls is None:
        weights.fill(block, feedforward_norm=weights.norm("output_layer_norm"))
    return block


def _attention(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Return the mixer over tokens; the arguments are the layer's where none are given."""
    heads = arguments.get("num_attention_heads")
    default = {
        "num_heads": heads,
        "key_dim": context.hidden_size // heads,
        "dropout": arguments.get("attention_dropout_rate", 0.0),
    }
    form = arguments.get("attention_cls", ClassForm("MultiHeadAttention"))
    given: Any = arguments.get("attention_cfg", None)
    return context.translate(form, default if given is None else given, weights.below("attention_layer"))


def _feedforward(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Return the mixer within tokens: the standard one, or a class of the original."""
    form, given = arguments.get("feedforward_cls", None), arguments.get("feedforward_cfg", None)
    inner_dim = arguments.get("inner_dim", 768, also=("intermediate_size",))
    activation = arguments.activation("inner_activation")
    if form is not None:
        default = {
            "inner_dim": inner_dim,
            "inner_activation": arguments.get("inner_activation", "gelu_tanh"),
            "intermediate_size": inner_dim,
            "intermediate_activation": arguments.get("inner_activation", "gelu_tanh"),
            "dropout": arguments.get("dropout_rate", 0.0),
        }
        given = default if given is None else given
        return context.translate(form, given, weights.below("feedforward_block"))
    mlp = MLP(
        context.hidden_size, inner_dim=inner_dim, activation=activation, bias=True, norm="none"
    )  # fmt: skip
    weights.fill(mlp, inner=weights.dense("intermediate_dense"), output=weights.dense("output_dense"))
    return mlp


def multi_head_attention(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `MultiHeadAttention` from the arguments of Keras' layer of that name."""
    arguments.only("attention_axes", None, 1, [1])
    arguments.only("output_shape", None, context.hidden_size)
    key_dim = arguments.get("key_dim")
    value_dim = arguments.get("value_dim", None) or key_dim
    block = MultiHeadAttention(
        context.hidden_size,
        arguments.get("num_heads"),
        head_size=max(key_dim, value_dim),
        position="none",
        bias=arguments.get("use_bias", True),
        attention_dropout=arguments.get("dropout", 0.0),
        norm="none",
    )
    fill_attention(block, weights)
    return by_itself(block, context, arguments.class_name)


TRANSLATORS: dict[str, Translator] = {
    "TransformerScaffold": transformer_scaffold,
    "MultiHeadAttention": multi_head_attention,
}
