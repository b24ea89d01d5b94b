"""The original's TransformerEncoderBlock, and Transformer, its older name."""

from __future__ import annotations

from typing import Any

from torch import nn

from nas.blocks.base import Block
from nas.blocks.transformer.encoder_block import TransformerEncoderBlock
from nas.blocks.transformer.layer import TransformerLayer
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.choice import AttentionChoice
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.weights import Weights


def encoder_block(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `TransformerEncoderBlock` from the arguments of the class of that name there."""
    attention = AttentionChoice(arguments, weights, context)
    arguments.ignore("intermediate_size", "intermediate_activation", "share_rezero")  # dropped there
    arguments.only("return_attention_scores", False)
    arguments.only("attention_axes", None, 1, [1])
    key_dim = arguments.get("key_dim", None) or context.hidden_size // arguments.get("num_attention_heads")
    value_dim = arguments.get("value_dim", None) or key_dim
    arguments.only("output_last_dim", None, context.hidden_size)
    arguments.get("diff_q_kv_att_layer_norm", False)  # the second norm is for keys from elsewhere
    weights.skip(*(f"attention_layer_norm_kv/{name}" for name in ("gamma", "beta", "scale")))
    block = TransformerEncoderBlock(
        context.hidden_size,
        arguments.get("num_attention_heads"),
        arguments.get("inner_dim"),
        arguments.activation("inner_activation"),
        use_rms_norm=arguments.get("use_rms_norm", False),
        key_dim=max(key_dim, value_dim),
        use_query_residual=arguments.get("use_query_residual", True),
        **layer_settings(arguments),
        **attention.settings,
    )
    attention.fill(block.attention)
    fill_layer(block, weights)
    return block


def transformer(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `TransformerEncoderBlock` from the older argument names."""
    arguments.rename(
        inner_dim="intermediate_size",
        inner_activation="intermediate_activation",
        output_dropout="dropout_rate",
        attention_dropout="attention_dropout_rate",
        inner_dropout="intermediate_dropout",
    )
    return encoder_block(arguments, weights, context)


def layer_settings(arguments: Arguments) -> dict[str, Any]:
    """Return what the layers there name alike: biases, norms, dropouts and the range of the output."""
    return {
        "use_bias": arguments.get("use_bias", True),
        "norm_first": arguments.get("norm_first", False),
        "norm_epsilon": arguments.get("norm_epsilon", 1e-12),
        "output_dropout": arguments.get("output_dropout", 0.0),
        "attention_dropout": arguments.get("attention_dropout", 0.0),
        "inner_dropout": arguments.get("inner_dropout", 0.0),
        "output_range": arguments.get("output_range", None) or None,
    }


def fill_layer(block: TransformerLayer, weights: Weights) -> None:
    """Fill both norms, and the standard feed-forward network."""
    weights.fill(
        block,
        attention_norm=weights.norm("attention_layer_norm"),
        feedforward_norm=weights.norm("output_layer_norm"),
    )
    fill_mlp(block.feedforward, weights)


def fill_mlp(mlp: Block, weights: Weights) -> None:
    """Fill the standard feed-forward network of a layer."""
    weights.fill(mlp, inner=weights.dense("intermediate_dense"), output=weights.dense("output_dense"))


TRANSLATORS: dict[str, Translator] = {
    "TransformerEncoderBlock": encoder_block,
    "Transformer": transformer,
    "CompiledTransformer": transformer,
}
