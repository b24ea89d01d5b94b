"""The original's ReuseTransformer."""

from __future__ import annotations

import torch
from torch import nn

from nas.blocks.base import Block
from nas.blocks.transformer.reuse_transformer import ReuseTransformer
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.encoder_block import fill_layer, layer_settings
from nas.interop.model_garden.weights import State, Weights, stack


def reuse_transformer(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `ReuseTransformer`; whether it has a state follows from its index, as there."""
    arguments.only("attention_axes", None, 1, [1])
    index, last = arguments.get("layer_idx", None), arguments.get("max_reuse_layer_idx", None)
    reused = arguments.get("reuse_attention", 0)
    reuses = reused != 0 and index != 0 and (index is None or last is None or index <= last)
    block = ReuseTransformer(
        context.hidden_size,
        arguments.get("num_attention_heads"),
        arguments.get("inner_dim"),
        arguments.activation("inner_activation"),
        reuse_attention=reused,
        layer_idx=index,
        max_reuse_layer_idx=last,
        has_state=reuses,
        use_relative_pe=arguments.get("use_relative_pe", False),
        pe_max_seq_length=arguments.get("pe_max_seq_length", 512),
        head_size=arguments.get("head_size", None),
        **layer_settings(arguments),
    )
    fill_reuse_attention(block.attention, weights.below("attention_layer"))
    fill_layer(block, weights)
    return block


def fill_reuse_attention(attention: Block, weights: Weights) -> None:
    """Fill a `ReuseAttention`: the original's reused heads come first and apart, here new ones do."""
    for name in ("query", "key"):
        if f"{name}_dense" in weights:
            weights.fill(attention, **{name: weights.to_heads(f"{name}_dense")})
    if "position_embeddings" in weights:
        weights.fill(attention, places=weights.take("position_embeddings")[0])
    parts = [weights.to_heads(f"value_dense/{index}") for index in _parts(weights)]
    weights.fill(attention, value=stack(*parts), output=_output(weights))


def _parts(weights: Weights) -> list[int]:
    """Return the indices of the projections in our order: new heads (1), reused ones (0)."""
    return [1, 0] if "value_dense/1" in weights else [0]


def _output(weights: Weights) -> State:
    states = {index: weights.from_heads(f"output_dense/{index}") for index in _parts(weights)}
    columns = torch.cat([state["weight"] for state in states.values()], dim=1)
    return {**states[0], "weight": columns}


TRANSLATORS: dict[str, Translator] = {"ReuseTransformer": reuse_transformer}
