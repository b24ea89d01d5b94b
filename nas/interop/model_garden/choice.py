"""The attentions that layers of the original choose from: standard, multi-query, block-sparse, Linformer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nas.blocks.base import Block
from nas.errors import InputError
from nas.interop.model_garden.arguments import Arguments
from nas.interop.model_garden.context import Context
from nas.interop.model_garden.heads import projections
from nas.interop.model_garden.weights import State, Weights, stack


class AttentionChoice:
    """What a layer's arguments say about its attention, and how the weights of that one are laid out.

    Attributes:
        settings: arguments of `TransformerEncoderBlock` that choose our attention.
    """

    def __init__(self, arguments: Arguments, weights: Weights, context: Context) -> None:
        heads = arguments.get("num_attention_heads")
        self._weights = weights.below("attention_layer")
        self._layer = weights
        rank, shared = (
            arguments.get("linformer_dim", None),
            arguments.get("linformer_shared_kv_projection", True),
        )
        output_range = arguments.get("output_range", None)
        source, groups = arguments.get("src_block_size", None), arguments.get("num_kv_heads", None)
        target = arguments.get("tgt_block_size", None) or source
        sigmoid = arguments.get("use_sigmoid_attn", False)
        bias = arguments.get("sigmoid_attn_bias", None)
        if source is not None and rank is not None:
            raise InputError(f"{arguments.class_name}: linformer_dim with src_block_size is not supported")
        self._blocks = source is not None and (source, target) != (
            output_range or context.seq_length,
            context.seq_length,
        )
        if source is not None and not self._blocks:
            groups = None  # blocks as long as the sequence: the original makes a standard layer
        self.groups = groups if groups is not None and groups > 1 else 1
        self.heads = heads
        self.settings: dict[str, Any] = {
            "num_kv_heads": groups,
            "softmax_axis": -2 if self._blocks or (groups or 1) > 1 else -1,
        }
        if source is not None and (self._blocks or sigmoid):
            self.settings |= {
                "src_block_size": source,
                "tgt_block_size": target,
                **({"sigmoid_attn_bias": bias} if sigmoid else {}),
            }
        if rank is not None:
            self.settings |= {
                "linformer_dim": rank,
                "linformer_shared_kv_projection": shared,
                "max_seq_length": weights.shape("lowrank_kv_projection/kernel")[0],
                "first_token_masks_queries": True,
            }

    def fill(self, attention: Block) -> None:
        """Fill our attention from the original's."""
        weights = self._weights
        size = attention.head_size
        assert isinstance(size, int)
        output = self._output_of_blocks() if self._blocks else None
        query, key, value, output = projections(weights, size, output=output)
        if self.groups > 1:
            output["weight"] = _regroup(output["weight"], self.groups, self.heads)
        if "src_block_size" in self.settings:
            weights.fill(attention, query=query, key_value=stack(key, value), output=output)
        else:
            weights.fill(attention, qkv=stack(query, key, value), output=output)
        if "linformer_dim" in self.settings:
            self._layer.fill(attention, mixtures=self._layer.take("lowrank_kv_projection/kernel"))

    def _output_of_blocks(self) -> State:
        """Return the output projection of block-sparse attention, which is laid out [D, H, K]."""
        state = {"weight": self._weights.take("output_dense/kernel").flatten(1)}
        if "output_dense/bias" in self._weights:
            state["bias"] = self._weights.take("output_dense/bias")
        return state


def _regroup(weight: Tensor, groups: int, heads: int) -> Tensor:
    """Reorder the columns of an output projection: there the heads of a group are apart, here together."""
    order = torch.arange(heads).view(heads // groups, groups).T.reshape(-1)
    return weight.reshape(weight.shape[0], heads, -1)[:, order].flatten(1)
