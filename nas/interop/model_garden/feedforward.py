"""The original's feed-forward classes, as mixers of a TransformerScaffold."""

from __future__ import annotations

from torch import nn

from nas.blocks.feedforward.block_diagonal import BlockDiagonalFeedforward
from nas.blocks.feedforward.gated import GatedFeedforward
from nas.interop.model_garden.alone import alone
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.context import Context, Translator
from nas.interop.model_garden.weights import Weights, stack


def gated_feedforward(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `GatedFeedforward`."""
    use_gate = arguments.get("use_gate", True)
    num_blocks = arguments.get("num_blocks", 1)
    normed = arguments.get("apply_output_layer_norm", True)
    block = GatedFeedforward(
        context.hidden_size,
        inner_dim=arguments.get("inner_dim", 768, also=("intermediate_size",)),
        activation=arguments.activation("inner_activation", also=("intermediate_activation",)),
        use_gate=use_gate,
        num_blocks=num_blocks,
        apply_output_layer_norm=normed,
        inner_dropout=arguments.get("dropout", 0.0),
        drop_site=arguments.get("dropout_position", "before_residual"),
        norm="none",
    )
    arguments.ignore(*SWALLOWED)
    for index in range(num_blocks):
        inner = weights.dense(f"intermediate_dense/{index}")
        if use_gate:
            inner = stack(inner, weights.dense(f"gate_dense/{index}"))
        weights.fill(block.inner[index], **inner)
        weights.fill(block.output[index], **weights.dense(f"output_dense/{index}"))
        if block.norms is not None:
            weights.fill(block.norms[index], **weights.norm(f"output_layer_norm/{index}"))
    return alone(block, arguments, context)


def block_diagonal_feedforward(arguments: Arguments, weights: Weights, context: Context) -> nn.Module:
    """Build a `BlockDiagonalFeedforward`; the original's dropout is on what it returns."""
    mixing = arguments.get("apply_mixing", True)
    block = BlockDiagonalFeedforward(
        context.hidden_size,
        inner_dim=arguments.get("intermediate_size"),
        activation=arguments.activation("intermediate_activation"),
        num_blocks=arguments.get("num_blocks", 1),
        apply_mixing=mixing,
        bias=True,
        norm="none",
        dropout=arguments.get("dropout"),
    )
    weights.fill(
        block,
        inner=weights.to_heads("intermediate_dense"),
        output=weights.take("output_dense/kernel"),
        output_bias=weights.take("output_dense/bias").reshape(-1),
    )
    if mixing:
        weights.fill(block, mixing=weights.take("output_mixing/kernel"))
    return alone(block, arguments, context)


SWALLOWED = (
    "num_attention_heads",
    "output_range",
    "use_bias",
    "norm_first",
    "norm_epsilon",
    "output_dropout",
    "attention_dropout",
    "inner_dropout",
    "attention_axes",
    "share_rezero",
)
"""Arguments of a whole layer that the original's GatedFeedforward takes and drops."""

TRANSLATORS: dict[str, Translator] = {
    "GatedFeedforward": gated_feedforward,
    "BlockDiagFeedforward": block_diagonal_feedforward,
}
