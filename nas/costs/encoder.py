"""The cost of an encoder: one that is built, or its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nas.blocks.base import Block
from nas.costs.measure import Handed, Layer, Measured, measure, measure_embedding
from nas.costs.parts import Parts, Place, last_layers, parts_of
from nas.costs.read import parts_of_config
from nas.errors import InputError, check_positive
from nas.scaffold import EncoderScaffold

if TYPE_CHECKING:
    from omegaconf import DictConfig

_BACKWARD = 3
"""Forward and backward in forward passes, where the counter sees nothing: a product has two gradients."""


@dataclass(frozen=True)
class SlotCost:
    """What one position in the list costs.

    Attributes:
        parameters: those that no earlier part holds: 0 for a module used again.
        flops_per_token: of the forward pass, at the given length.
        training_flops_per_token: of a forward and a backward pass.
        activation_bytes: what its backward pass keeps and no earlier part does.
        shared_with: the first position that uses the same module, if it is an earlier one.
    """

    parameters: int
    flops_per_token: float
    training_flops_per_token: float
    activation_bytes: int
    shared_with: int | None


@dataclass(frozen=True)
class Cost:
    """What a whole encoder costs, its head excluded.

    Attributes:
        parameters: embedding, slots, norm and pooler, shared ones once.
        flops_per_token: of the forward pass, 2 for a multiply-add; norms and additions not counted.
        training_flops_per_token: of a forward and a backward pass, about three times as much.
        activation_bytes: what the backward pass keeps of a batch: every storage that an operator
            saves, once, weights excluded. Attention is counted in its plain form, whose weights
            [B, H, T, T] are kept; fused kernels keep less. What is only alive for a moment, the
            gradients and the optimizer's state are not in it.
        embedding_parameters, pooler_parameters: parts of ``parameters``.
        per_slot: one entry for each position, empty ones included.
    """

    parameters: int
    flops_per_token: float
    training_flops_per_token: float
    activation_bytes: int
    embedding_parameters: int
    pooler_parameters: int
    per_slot: tuple[SlotCost, ...]


def cost(
    encoder: EncoderScaffold | Mapping[str, Any] | DictConfig,
    batch: int,
    seq_length: int,
    *,
    dtype: torch.dtype = torch.float32,
    vocab_size: int | None = None,
) -> Cost:
    """Return what an encoder costs for B = ``batch`` sequences of T = ``seq_length`` real tokens.

    Nothing is allocated: what is not told by formulas is counted on the meta device. Layers are
    remembered by their settings, so that the next encoder made of the same layers takes a
    millisecond.

    Args:
        encoder: an `EncoderScaffold` on any device, or the configuration of one with its
            ``_target_``: what a composed configuration holds under ``encoder``.
        batch: B; only the activation memory depends on it.
        seq_length: T; in a configuration, the embedding's ``max_seq_length`` where that is null.
        dtype: of weights and activations, for the memory.
        vocab_size: V of a configuration that leaves it to its task.

    Raises:
        InputError: a size is not positive, the configuration can not be built, or a layer does not
            take this length.
    """
    check_positive(batch=batch, seq_length=seq_length)
    parts = (
        parts_of(encoder)
        if isinstance(encoder, EncoderScaffold)
        else parts_of_config(encoder, seq_length, vocab_size)
    )
    return add_up(parts, batch, seq_length, dtype)


def add_up(parts: Parts, batch: int, seq_length: int, dtype: torch.dtype) -> Cost:
    """Walk through an encoder's parts with data of [B, T, D]."""
    embedded = measure_embedding(parts.embedding, parts.width, (batch, seq_length), dtype)
    read = _embedding_flops(parts.embedding.module, seq_length, embedded.forward / (batch * seq_length))
    handed = embedded.handed
    per_slot: list[SlotCost] = []
    for place in parts.slots:
        measured = measure(place.layer, handed)
        per_slot.append(_slot_cost(place, measured, handed, seq_length))
        handed = measured.handed
    last: list[Measured] = []
    for layer in last_layers(parts.width, parts.pooled, parts.normed):
        last.append(measure(layer, handed))
        handed = last[-1].handed
    tokens = batch * seq_length
    return Cost(
        parameters=parts.parameters,
        flops_per_token=read
        + sum(slot.flops_per_token for slot in per_slot)
        + sum(m.forward for m in last) / tokens,
        training_flops_per_token=_training(read, embedded)
        + sum(slot.training_flops_per_token for slot in per_slot)
        + sum(m.training for m in last) / tokens,
        activation_bytes=sum(m.kept for m in (embedded, *last)) + sum(s.activation_bytes for s in per_slot),
        embedding_parameters=parts.embedding.parameters,
        pooler_parameters=(parts.width + 1) * parts.pooled,
        per_slot=tuple(per_slot),
    )


def _slot_cost(place: Place, measured: Measured, before: Handed, seq_length: int) -> SlotCost:
    batch, tokens, _ = before.data.shape
    flops = _layer_flops(place.layer, measured.forward / (batch * tokens), before, seq_length)
    return SlotCost(
        parameters=place.parameters,
        flops_per_token=flops,
        training_flops_per_token=_training(flops, measured),
        activation_bytes=measured.kept,
        shared_with=place.shared_with,
    )


def _layer_flops(layer: Layer, counted: float, before: Handed, seq_length: int) -> float:
    """Return what a block tells of itself; where that depends on a state, what was counted with it."""
    block = layer.module
    if not isinstance(block, Block):
        return counted
    if layer.slot.recursive and block.config.get("has_state", True) is None and before.states:
        return counted
    try:
        return block.flops_per_token(seq_length)
    except NotImplementedError as error:
        raise InputError(str(error)) from error


def _embedding_flops(embedding: nn.Module, seq_length: int, counted: float) -> float:
    tells = getattr(embedding, "flops_per_token", None)
    return float(tells(seq_length)) if callable(tells) else counted


def _training(flops: float, measured: Measured) -> float:
    """Scale the forward pass by what training was counted to take; blind spots take three times as much."""
    return flops * (measured.training / measured.forward if measured.forward else _BACKWARD)
