"""The original's RoFormer: its attention by itself, and its layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.base import Block
from nas.blocks.transformer.encoder_block import TransformerEncoderBlock
from nas.errors import InputError
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.attention import by_itself
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.encoder_block import fill_layer, layer_settings
from nas.interop.model_garden.weights import State, Weights, stack


def roformer_attention(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `MultiHeadAttention` with RoPE."""
    _check_lengths(arguments, context)
    arguments.get("output_range", None)  # of the queries' angles, which are those of their places anyway
    arguments.only("attention_axes", None, 1, [1])
    arguments.only("output_shape", None, context.hidden_size)
    key_dim = arguments.get("key_dim")
    arguments.only("value_dim", None, key_dim)
    block = MultiHeadAttention(
        context.hidden_size,
        arguments.get("num_heads"),
        head_size=key_dim,
        position="rope",
        bias=arguments.get("use_bias", True),
        attention_dropout=arguments.get("dropout", 0.0),
        norm="none",
    )
    fill_turned_attention(block, weights)
    return by_itself(block, context, arguments.class_name)


def roformer_block(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `TransformerEncoderBlock` with RoPE."""
    _check_lengths(arguments, context)
    arguments.only("attention_axes", None, 1, [1])
    block = TransformerEncoderBlock(
        context.hidden_size,
        arguments.get("num_attention_heads"),
        arguments.get("inner_dim"),
        arguments.activation("inner_activation"),
        position="rope",
        **layer_settings(arguments),
    )
    fill_turned_attention(block.attention, weights.below("attention_layer"))
    fill_layer(block, weights)
    return block


def fill_turned_attention(attention: Block, weights: Weights) -> None:
    """Fill an attention with RoPE: there feature 2i turns with 2i + 1, here i with i + K/2."""
    query, key = (_apart(weights, f"{name}_dense") for name in ("query", "key"))
    weights.fill(
        attention,
        qkv=stack(query, key, weights.to_heads("value_dense")),
        output=weights.from_heads("output_dense"),
    )


def _apart(weights: Weights, name: str) -> State:
    """Return a projection to heads whose even features come first, then the odd ones."""
    size = weights.shape(f"{name}/kernel")[-1]
    order = torch.cat([torch.arange(0, size, 2), torch.arange(1, size, 2)])

    def reorder(rows: Tensor) -> Tensor:
        return rows.reshape(-1, size, *rows.shape[1:])[:, order].flatten(0, 1)

    return {kind: reorder(rows) for kind, rows in weights.to_heads(name).items()}


def _check_lengths(arguments: Arguments, context: Context) -> None:
    """Refuse an input that the original's tables of angles are too short for; ours have no end."""
    for name in ("q_max_sequence_length", "kv_max_sequence_length"):
        longest = arguments.get(name, 512)
        if context.entry.get("inputs") and longest < context.seq_length:
            raise InputError(
                f"{arguments.class_name}.{name}={longest} is shorter than the inputs: T={context.seq_length}"
            )


TRANSLATORS: dict[str, Translator] = {
    "RoformerAttention": roformer_attention,
    "RoformerEncoderBlock": roformer_block,
}
