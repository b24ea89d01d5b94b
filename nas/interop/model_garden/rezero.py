"""The original's ReZeroTransformer."""

from __future__ import annotations

import torch
from torch import nn

from nas.blocks.transformer.rezero import ReZeroTransformer
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.choice import AttentionChoice
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.encoder_block import fill_layer, fill_mlp
from nas.interop.model_garden.weights import Weights

SWALLOWED = ("use_bias", "norm_first", "norm_epsilon", "inner_dropout", "attention_axes")
"""Arguments of other layers that the original takes and drops."""


def rezero(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `ReZeroTransformer`."""
    arguments.ignore(*SWALLOWED)
    arguments.only("linformer_dim", None)
    arguments.only("use_sigmoid_attn", False)
    choice = AttentionChoice(arguments, weights, context)
    normed = arguments.get("use_layer_norm", False)
    shared = arguments.get("share_rezero", True)
    block = ReZeroTransformer(
        context.hidden_size,
        arguments.get("num_attention_heads"),
        arguments.get("inner_dim", 768, also=("intermediate_size",)),
        arguments.activation("inner_activation", also=("intermediate_activation",)),
        share_rezero=shared,
        use_layer_norm=normed,
        dropout_rate=arguments.get("dropout_rate", 0.0, also=("output_dropout",)),
        attention_dropout_rate=arguments.get("attention_dropout_rate", 0.0, also=("attention_dropout",)),
        output_range=arguments.get("output_range", None) or None,
        **choice.settings,
    )
    choice.fill(block.attention)
    names = ["rezero_a"] if shared else ["rezero_a", "rezero_a_ffn"]
    weights.fill(block, scales=torch.stack([weights.take(name) for name in names]))
    if normed:
        fill_layer(block, weights)
    else:
        fill_mlp(block.feedforward, weights)
    return block


TRANSLATORS: dict[str, Translator] = {"ReZeroTransformer": rezero}
