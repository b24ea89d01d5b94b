"""An encoder in plain words and numbers, for run folders, reports, drawings and ``nas-show``."""

from __future__ import annotations

from typing import Any

from torch import nn

from nas.architecture import (
    architecture_hash,
    architecture_string,
    inner_blocks,
    label_of,
    role_of,
    settings_of,
    state_kinds,
)
from nas.blocks.base import Block
from nas.costs.encoder import SlotCost, cost
from nas.costs.parts import new_parameters
from nas.scaffold import EncoderScaffold
from nas.scaffold_slots import Slot


def describe(encoder: EncoderScaffold, seq_length: int, batch: int = 1) -> dict[str, Any]:
    """Return an encoder as a run folder's ``architecture.json`` holds it, JSON-able.

    A slot made of blocks has them under ``inner``, one level or more deep, each with its cost in
    one pass; ``num_loops`` and ``layout`` say how they are run.

    Args:
        encoder: on any device.
        seq_length: T.
        batch: B of ``activation_bytes``.

    Raises:
        InputError: see `nas.costs.encoder.cost`.
    """
    total = cost(encoder, batch, seq_length)
    slots = zip(encoder.slots, total.per_slot, strict=True)
    return {
        "string": architecture_string(encoder),
        "hash": architecture_hash(encoder),
        "hidden_size": encoder.hidden_size,
        "seq_length": seq_length,
        "batch_size": batch,
        "parameters": total.parameters,
        "flops_per_token": total.flops_per_token,
        "training_flops_per_token": total.training_flops_per_token,
        "activation_bytes": total.activation_bytes,
        "embedding": {
            "label": str(getattr(encoder.embedding, "label", type(encoder.embedding).__name__)),
            "parameters": total.embedding_parameters,
        },
        "pooler": {"parameters": total.pooler_parameters},
        "slots": [_slot(encoder, slot, slot_cost, seq_length) for slot, slot_cost in slots],
    }


def _slot(encoder: EncoderScaffold, slot: Slot, slot_cost: SlotCost, seq_length: int) -> dict[str, Any]:
    layer = encoder.blocks[slot.block]
    return {
        **_block(layer, seq_length),
        "parameters": slot_cost.parameters,
        "flops_per_token": slot_cost.flops_per_token,
        "training_flops_per_token": slot_cost.training_flops_per_token,
        "activation_bytes": slot_cost.activation_bytes,
        "shared_with": slot_cost.shared_with,
        "recursive": slot.recursive,
        "state_kind": slot.state_kind if slot.recursive else None,
        "state_kinds": sorted(state_kinds(layer, slot)),
    }


def _block(layer: nn.Module, seq_length: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "label": label_of(layer),
        "role": role_of(layer),
        "class": type(layer).__name__,
        "settings": settings_of(layer),
    }
    inner = inner_blocks(layer)
    if inner:
        told["num_loops"] = getattr(layer, "num_loops", 1)
        told["layout"] = getattr(layer, "inner_layout", "sequence")
        told["inner"] = _inner(inner, seq_length)
    return told


def _inner(blocks: tuple[nn.Module, ...], seq_length: int) -> list[dict[str, Any]]:
    """Describe the blocks inside a block; ``shared_with`` counts among them."""
    counted: set[int] = set()
    described = []
    for index, block in enumerate(blocks):
        first = next(i for i, other in enumerate(blocks) if other is block)
        described.append(
            {
                **_block(block, seq_length),
                "parameters": new_parameters(block, counted),
                "flops_per_token": block.flops_per_token(seq_length) if isinstance(block, Block) else None,
                "shared_with": first if first != index else None,
            }
        )
    return described
