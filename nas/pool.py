"""An encoder from a pool of named blocks and a list of names: the form that configurations use."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from torch import nn

from nas.blocks.base import Composition
from nas.errors import InputError, check_positive
from nas.scaffold import EncoderScaffold
from nas.slots import expand, unknown_names


def encoder_from_pool(
    hidden_size: int,
    num_heads: int,
    hidden_cls: list[Any],
    blocks: dict[str, Any],
    embedding: Any,
    mask: Any,
    composition: Composition | None = None,
    num_layers: int | None = None,
    pooled_output_dim: int | None = None,
    layer_norm_before_pooling: bool = False,
    return_all_layer_outputs: bool = False,
    dict_outputs: bool = False,
    layer_idx_as_attention_seed: bool = False,
    feed_layer_idx: bool = False,
) -> EncoderScaffold:
    """Build an `EncoderScaffold` whose slots are named.

    Args:
        hidden_size: D; blocks and embedding refer to it.
        num_heads: the heads of every attention block that does not say otherwise.
        hidden_cls: names in ``blocks``, or blocks themselves (classes, partials, instances).
        blocks: the pool: a class or partial makes a fresh block for each slot that names it, an
            instance is shared by all of them.
        embedding: the embedding, as a partial, class or instance.
        mask: the mask layer, likewise.
        composition: norm, residual and dropout of every block that does not say otherwise; blocks
            refer to it.
        num_layers: tile ``hidden_cls`` to this many slots; null takes the list as it is.
        pooled_output_dim: width of the pooled output; null means ``hidden_size``.
        layer_norm_before_pooling, return_all_layer_outputs, dict_outputs,
        layer_idx_as_attention_seed, feed_layer_idx: as in `EncoderScaffold`.

    Raises:
        InputError: ``hidden_size`` is not positive, a name is not in the pool, or a block cannot be built.
    """
    check_positive(**{"encoder.hidden_size": hidden_size})
    slots = expand(hidden_cls, num_layers)
    mistakes = unknown_names(slots, blocks)
    if mistakes:
        raise InputError(*mistakes)
    chosen = [blocks[slot] if isinstance(slot, str) else slot for slot in slots]
    return EncoderScaffold(
        pooled_output_dim=hidden_size if pooled_output_dim is None else pooled_output_dim,
        embedding_cls=embedding,
        num_hidden_instances=len(chosen),
        hidden_cls=chosen,
        mask_cls=mask,
        layer_norm_before_pooling=layer_norm_before_pooling,
        return_all_layer_outputs=return_all_layer_outputs,
        dict_outputs=dict_outputs,
        layer_idx_as_attention_seed=layer_idx_as_attention_seed,
        feed_layer_idx=feed_layer_idx,
        recursive=any(_is_recursive(block) for block in chosen),
    )


def _is_recursive(
    block: type[nn.Module] | functools.partial[nn.Module] | nn.Module | Mapping[str, Any],
) -> bool:
    made = block.func if isinstance(block, functools.partial) else block
    return bool(getattr(made, "recursive", False))
