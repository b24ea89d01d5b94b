"""The original's attention classes over T x T scores or blocks, as mixers of a TransformerScaffold."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nas.blocks.attention.bigbird import BigBirdAttention
from nas.blocks.attention.per_dim_scale import PerDimScaleAttention
from nas.blocks.attention.talking_heads import TalkingHeadsAttention
from nas.blocks.base import ResidualBlock
from nas.blocks.transformer.parts import mix
from nas.errors import InputError
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.heads import fill_attention
from nas.interop.model_garden.weights import Weights
from nas.masks import BlockedMask


class Called(nn.Module):
    """A mixer by itself, under the call of the original's attention and mixing layers."""

    def __init__(self, mixer: ResidualBlock) -> None:
        super().__init__()
        self.mixer = mixer

    def forward(
        self,
        query: Tensor,
        value: Tensor | None = None,
        key: Tensor | None = None,
        attention_mask: Any = None,
    ) -> Tensor:
        """Return [B, T, D] from queries [B, T, D], and keys and values made of ``value`` [B, S, D].

        Raises:
            InputError: keys are made of something else than values.
        """
        if key is not None and key is not value:
            raise InputError(f"{type(self.mixer).__name__}: key must be what value is")
        if isinstance(attention_mask, list | tuple):
            attention_mask = BlockedMask(*attention_mask)
        return mix(self.mixer, query, attention_mask, None if value is query else value)


def by_itself(mixer: ResidualBlock, context: Context, name: str) -> nn.Module:
    """Return the mixer, or, where the entry is this layer alone, what is called as the original's."""
    alone = context.entry.get("kind") == "layer" and context.entry.get("target") == name
    return Called(mixer) if alone else mixer


def keras_attention(arguments: Arguments, context: Context, *, wider_values: bool = True) -> dict[str, Any]:
    """Return the arguments of Keras' MultiHeadAttention, which all these classes take, under our names.

    Heads of keys and values are equally wide here: the narrower ones are filled up with zeros, which
    keys can not be where something else than their product is taken (``wider_values``).

    Raises:
        InputError: the layer has other axes, or values wider than keys where that is not possible.
    """
    key_dim = arguments.get("key_dim")
    value_dim = arguments.get("value_dim", None) or key_dim
    if value_dim > key_dim and not wider_values:
        raise InputError(f"{arguments.class_name}.value_dim={value_dim} is above key_dim={key_dim}")
    arguments.only("attention_axes", None, 1, [1])
    arguments.only("output_shape", None, context.hidden_size)
    return {
        "num_heads": arguments.get("num_heads"),
        "head_size": max(key_dim, value_dim),
        "bias": arguments.get("use_bias", True),
        "attention_dropout": arguments.get("dropout", 0.0),
        "position": "none",
        "norm": "none",
    }


def talking_heads(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `TalkingHeadsAttention`."""
    block = TalkingHeadsAttention(context.hidden_size, **keras_attention(arguments, context))
    fill_attention(block, weights)
    weights.fill(
        block,
        before_softmax=weights.take("pre_softmax_weight"),
        after_softmax=weights.take("post_softmax_weight"),
    )
    return by_itself(block, context, "TalkingHeadsAttention")


def per_dim_scale(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `PerDimScaleAttention`."""
    block = PerDimScaleAttention(context.hidden_size, **keras_attention(arguments, context))
    fill_attention(block, weights)
    scale = weights.take("per_dim_scale")
    weights.fill(block, per_dim_scale=nn.functional.pad(scale, (0, block.head_size - len(scale))))
    return by_itself(block, context, "PerDimScaleAttention")


def bigbird(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `BigBirdAttention` with the original's numbers: its table, duplicates and zeroed queries.

    It drops no attention weights, as the original, which takes a dropout rate and does not use it.

    Raises:
        InputError: queries and keys have blocks of different sizes.
    """
    size = arguments.get("from_block_size", 64)
    if arguments.get("to_block_size", 64) != size:
        raise InputError(
            f"BigBirdAttention: from_block_size={size} and "
            f"to_block_size={arguments.get('to_block_size', 64)} must be equal"
        )
    settings = keras_attention(arguments, context) | {"attention_dropout": 0.0}
    block = BigBirdAttention(
        context.hidden_size,
        block_size=size,
        num_random_blocks=arguments.get("num_rand_blocks", 3),
        seed=arguments.get("seed", None),
        max_seq_length=arguments.get("max_rand_mask_length", 4096) // size * size,
        model_garden=True,
        **settings,
    )
    fill_attention(block, weights)
    weights.fill(block, random_blocks=context.extra("rand_attn"))
    return by_itself(block, context, "BigBirdAttention")


TRANSLATORS: dict[str, Translator] = {
    "TalkingHeadsAttention": talking_heads,
    "PerDimScaleAttention": per_dim_scale,
    "BigBirdAttention": bigbird,
}
