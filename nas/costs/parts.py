"""An encoder taken apart for counting: its embedding, its layers in order, and who holds which weights."""

from __future__ import annotations

import functools
import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.architecture import jsonable
from nas.configured import Configured
from nas.costs.measure import Layer
from nas.scaffold import EncoderScaffold
from nas.scaffold_slots import Slot

_PLAIN = Slot(block=0, recursive=False, state_kind="", mask=0, mask_may_be_none=True)


@dataclass(frozen=True)
class Place:
    """A layer at its position.

    Attributes:
        parameters: those that no earlier part holds.
        shared_with: the first position of the same module, if it is an earlier one.
    """

    layer: Layer
    parameters: int
    shared_with: int | None


@dataclass(frozen=True)
class Parts:
    """What `nas.costs.encoder` adds up.

    Attributes:
        embedding: the layer that reads ids.
        slots: one for each position.
        width: D.
        pooled: P, the size of the pooled output.
        normed: whether a norm stands before the pooler.
        parameters: of the whole encoder.
    """

    embedding: Layer
    slots: Sequence[Place]
    width: int
    pooled: int
    normed: bool
    parameters: int


class LastNorm(nn.Module):
    """The norm before the pooler, called as a layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, data: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Map [B, T, D] to [B, T, D]."""
        out: Tensor = self.norm(data)
        return out


class Pooler(nn.Module):
    """The scaffold's pooler, called as a layer."""

    def __init__(self, width: int, pooled: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, pooled)

    def forward(self, data: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Map [B, T, D] to [B, P]."""
        return torch.tanh(self.linear(data[:, 0]))


def parts_of(encoder: EncoderScaffold) -> Parts:
    """Take a built encoder apart."""
    counted: set[int] = set()
    embedding = layer_of(encoder.embedding)
    new_parameters(encoder.embedding, counted)
    first: dict[int, int] = {}
    layers: dict[int, Layer] = {}
    slots = []
    for index, slot in enumerate(encoder.slots):
        module = encoder.blocks[slot.block]
        if slot.block not in layers:
            layers[slot.block] = layer_of(module, slot, encoder.masks[slot.mask])
        earlier = first.setdefault(slot.block, index)
        own = new_parameters(module, counted)
        slots.append(Place(layers[slot.block], own, earlier if earlier != index else None))
    return Parts(
        embedding=embedding,
        slots=slots,
        width=encoder.hidden_size,
        pooled=encoder.pooler_layer.out_features,
        normed=encoder.output_layer_norm is not None,
        parameters=new_parameters(encoder, set()),
    )


def layer_of(module: nn.Module, slot: Slot = _PLAIN, mask: nn.Module | None = None) -> Layer:
    """Return a module as a layer; ``mask`` is the layer that makes its mask, where it must have one."""
    needed = None if slot.mask_may_be_none else mask
    key = (_key(module), slot.recursive, slot.state_kind, None if needed is None else _key(needed))
    whole = key[0] is not None and (needed is None or key[-1] is not None)
    return Layer(
        key=key if whole else None,
        module=module,
        slot=slot,
        mask=needed,
        parameters=new_parameters(module, set()),
    )


def new_parameters(module: nn.Module, counted: set[int]) -> int:
    """Return the number of parameters that were not counted before, and remember them."""
    new = [p for p in module.parameters() if id(p) not in counted]
    counted.update(id(p) for p in new)
    return sum(p.numel() for p in new)


@functools.lru_cache(256)
def last_layers(width: int, pooled: int, normed: bool) -> tuple[Layer, ...]:
    """Return what stands after the slots: perhaps a norm, and the pooler."""
    with torch.device("meta"):
        modules = [*([LastNorm(width)] if normed else []), Pooler(width, pooled)]
    return tuple(
        Layer((type(m).__name__, width, pooled), m, _PLAIN, None, new_parameters(m, set())) for m in modules
    )


def _key(module: nn.Module) -> Hashable:
    """Return what the cost of a module depends on, or None if it does not tell."""
    if not isinstance(module, Configured):
        return None
    shapes = tuple((name, p.shape, p.requires_grad) for name, p in module.named_parameters())
    return type(module), json.dumps(jsonable(getattr(module, "config", {}))), shapes
