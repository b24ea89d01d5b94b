"""What an encoder costs: parameters and floating-point operations, predicted without running it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nas.architecture import architecture_hash, architecture_string, label_of, settings_of
from nas.blocks.base import Block
from nas.errors import InputError, check_positive
from nas.scaffold import EncoderScaffold
from nas.scaffold_slots import Slot


@dataclass(frozen=True)
class SlotCost:
    """What one position in the list costs.

    Attributes:
        parameters: those that no earlier part holds: 0 for a module used again.
        flops_per_token: of the forward pass, at the given length.
        shared_with: the first position that uses the same module, if it is an earlier one.
    """

    parameters: int
    flops_per_token: float
    shared_with: int | None


@dataclass(frozen=True)
class Cost:
    """What a whole encoder costs, its head excluded.

    Attributes:
        parameters: embedding, slots, norm and pooler, shared ones once.
        flops_per_token: of the forward pass, 2 for a multiply-add; norms and additions not counted.
        training_flops_per_token: three times as much: the backward pass costs two forward passes.
        embedding_parameters, pooler_parameters: parts of ``parameters``.
        per_slot: one entry for each position, empty ones included.
    """

    parameters: int
    flops_per_token: float
    training_flops_per_token: float
    embedding_parameters: int
    pooler_parameters: int
    per_slot: tuple[SlotCost, ...]


def cost(encoder: EncoderScaffold, seq_length: int) -> Cost:
    """Return what an encoder costs at T = ``seq_length``; it may be on the meta device.

    A module that is no `Block` is counted by torch's counter, which sees matrix products,
    convolutions and attention; an embedding that tells nothing counts for its linear layers.

    Raises:
        InputError: ``seq_length`` is not positive, or a module can not be counted.
    """
    check_positive(seq_length=seq_length)
    counted: set[int] = set()
    embedding = _new_parameters(encoder.embedding, counted)
    per_slot = _slot_costs(encoder, seq_length, counted)
    pooler = _new_parameters(encoder.pooler_layer, counted)
    norm = 0 if encoder.output_layer_norm is None else _new_parameters(encoder.output_layer_norm, counted)
    masks = _new_parameters(encoder.masks, counted)
    flops = (
        _embedding_flops(encoder.embedding, seq_length)
        + sum(slot.flops_per_token for slot in per_slot)
        + 2.0 * encoder.pooler_layer.in_features * encoder.pooler_layer.out_features / seq_length
    )
    return Cost(
        parameters=embedding + sum(slot.parameters for slot in per_slot) + pooler + norm + masks,
        flops_per_token=flops,
        training_flops_per_token=3 * flops,
        embedding_parameters=embedding,
        pooler_parameters=pooler,
        per_slot=per_slot,
    )


def describe(encoder: EncoderScaffold, seq_length: int) -> dict[str, Any]:
    """Return an encoder as a run folder's ``architecture.json`` holds it, for reports and drawings.

    Raises:
        InputError: see `cost`.
    """
    total = cost(encoder, seq_length)
    return {
        "string": architecture_string(encoder),
        "hash": architecture_hash(encoder),
        "hidden_size": encoder.hidden_size,
        "seq_length": seq_length,
        "parameters": total.parameters,
        "flops_per_token": total.flops_per_token,
        "embedding": {
            "label": str(getattr(encoder.embedding, "label", type(encoder.embedding).__name__)),
            "parameters": total.embedding_parameters,
        },
        "pooler": {"parameters": total.pooler_parameters},
        "slots": [
            _describe_slot(encoder, slot, slot_cost)
            for slot, slot_cost in zip(encoder.slots, total.per_slot, strict=True)
        ],
    }


def _describe_slot(encoder: EncoderScaffold, slot: Slot, slot_cost: SlotCost) -> dict[str, Any]:
    layer = encoder.blocks[slot.block]
    return {
        "label": label_of(layer),
        "role": layer.role if isinstance(layer, Block) else "foreign",
        "class": type(layer).__name__,
        "parameters": slot_cost.parameters,
        "flops_per_token": slot_cost.flops_per_token,
        "shared_with": slot_cost.shared_with,
        "recursive": slot.recursive,
        "state_kind": slot.state_kind if slot.recursive else None,
        "settings": settings_of(layer),
    }


def _slot_costs(encoder: EncoderScaffold, seq_length: int, counted: set[int]) -> tuple[SlotCost, ...]:
    first: dict[int, int] = {}
    flops: dict[int, float] = {}
    costs = []
    for index, slot in enumerate(encoder.slots):
        layer = encoder.blocks[slot.block]
        if slot.block not in flops:
            flops[slot.block] = _layer_flops(layer, slot, encoder.hidden_size, seq_length)
        earlier = first.setdefault(slot.block, index)
        costs.append(
            SlotCost(
                parameters=_new_parameters(layer, counted),
                flops_per_token=flops[slot.block],
                shared_with=earlier if earlier != index else None,
            )
        )
    return tuple(costs)


def _new_parameters(module: nn.Module, counted: set[int]) -> int:
    """Return the number of parameters that were not counted before, and remember them."""
    new = [p for p in module.parameters() if id(p) not in counted]
    counted.update(id(p) for p in new)
    return sum(p.numel() for p in new)


def _embedding_flops(embedding: nn.Module, seq_length: int) -> float:
    tells = getattr(embedding, "flops_per_token", None)
    if callable(tells):
        return float(tells(seq_length))
    linear = (m for m in embedding.modules() if isinstance(m, nn.Linear))
    return sum(2.0 * m.in_features * m.out_features for m in linear)


def _layer_flops(layer: nn.Module, slot: Slot, hidden_size: int, seq_length: int) -> float:
    if isinstance(layer, Block):
        return layer.flops_per_token(seq_length)
    state = (None,) if slot.recursive else ()
    try:
        return _counted(layer, "meta", hidden_size, seq_length, state) / seq_length
    except Exception as on_meta:  # whatever a module from elsewhere does that shapes alone can not answer
        device = next((p.device for p in layer.parameters()), torch.device("cpu"))
        if device.type == "meta":
            raise InputError(f"{type(layer).__name__} can not be counted: {on_meta}") from on_meta
    return _counted(layer, device, hidden_size, seq_length, state) / seq_length


def _counted(
    layer: nn.Module, device: torch.device | str, hidden_size: int, seq_length: int, state: tuple[None, ...]
) -> int:
    """Return what torch counts for one sequence [1, T, D]; random generators are left as they were."""
    named = {**dict(layer.named_parameters()), **dict(layer.named_buffers())}
    moved: dict[str, Tensor] = {name: t.detach().to(device) for name, t in named.items()}
    dtype = next((t.dtype for t in moved.values() if t.is_floating_point()), torch.get_default_dtype())
    data = torch.zeros(1, seq_length, hidden_size, device=device, dtype=dtype)
    mask = torch.ones(1, seq_length, seq_length, device=device, dtype=dtype)
    cuda = [device] if isinstance(device, torch.device) and device.type == "cuda" else []
    plain = sdpa_kernel(SDPBackend.MATH)  # the counter does not know the CPU's fused attention
    with torch.random.fork_rng(cuda), plain, torch.no_grad(), FlopCounterMode(display=False) as counter:
        functional_call(layer, moved, (data, mask, *state))
    return int(counter.get_total_flops())
