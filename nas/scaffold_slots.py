"""The scaffold's slots: what is built for each entry of ``hidden_cls``, and what each slot needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from nas.blocks.base import Block
from nas.blocks.span import ALL_STATES, kinds_of
from nas.errors import InputError, told_once
from nas.factories import (
    accepts,
    call_mistakes,
    given_to,
    is_factory,
    name_of,
    positional_count,
    takes_any_number,
    target_of,
)
from nas.masks import SelfAttentionMask, padding_of


@dataclass(frozen=True)
class Slot:
    """What the forward pass has to know about one position in the list.

    Attributes:
        block: the index of its module; slots with the same index share their weights.
        recursive: whether the state is its third input and second result.
        state_kind: which state it reads and writes; `ALL_STATES`: the dict of all.
        mask: the index of its mask layer; 0 is the scaffold's ``mask_cls``.
        mask_may_be_none: whether None may stand for a mask of ones.
    """

    block: int
    recursive: bool
    state_kind: str
    mask: int
    mask_may_be_none: bool


@dataclass(frozen=True)
class SlotPlan:
    """The checked entries of ``hidden_cls`` and the settings that shape what is built from them."""

    layers: Sequence[Any]
    hidden_cfg: dict[str, Any] = field(default_factory=dict)
    feed_layer_idx: bool = False
    layer_idx_as_attention_seed: bool = False
    recursive: bool = False
    listed: bool = True

    def mistakes(self) -> list[str]:
        """Say everything that is wrong before anything is built."""
        wrong: list[str] = []
        for index, layer in enumerate(self.layers):
            if is_factory(layer):
                wrong += self._factory_mistakes(index, layer)
            elif not isinstance(layer, nn.Module):
                wrong.append(
                    f"{self.where(index)}={layer!r} is of type {type(layer).__name__}: "
                    "expected a module class, a functools.partial of one, or a module"
                )
        wrong += self._effect_mistakes() + self._recursion_mistakes()
        return list(dict.fromkeys(wrong))

    def build(self, width: int, max_seq_length: int | None = None) -> list[nn.Module]:
        """Return one module per slot: a class is built anew, an instance is used as it is.

        A class that takes ``hidden_size``, ``max_seq_length`` or ``has_state`` and was given none is
        told the embedding's width and longest input, and whether a state of its kind comes before.

        Raises:
            InputError: a constructor refused its arguments, or a width is not the embedding's.
        """
        built: list[nn.Module] = []
        refused: dict[str, list[str]] = {}
        wrong: list[str] = []
        for index, module in enumerate(self.layers):
            try:
                if is_factory(module):
                    module = module(**self._keywords(index, module, width, max_seq_length, built))
            except InputError as error:
                for mistake in error.mistakes:
                    refused.setdefault(mistake, []).append(f"{self.where(index)}={name_of(module)}")
                continue
            except Exception as error:  # a fault in the class: its place is all that can be added
                error.add_note(f"{self.where(index)}={name_of(module)}")
                raise
            wrong += self._module_mistakes(index, module, width)
            built.append(module)
        if refused or wrong:
            raise InputError(*told_once(refused), *dict.fromkeys(wrong))
        return built

    def where(self, index: int) -> str:
        """Name a slot in messages."""
        return f"hidden_cls[{index}]" if self.listed else "hidden_cls"

    def _keywords(
        self,
        index: int,
        layer: Any,
        width: int,
        max_seq_length: int | None = None,
        built: Sequence[nn.Module] = (),
    ) -> dict[str, Any]:
        keywords = dict(self.hidden_cfg)
        given = {**given_to(layer), **keywords}
        for key, value in (("hidden_size", width), ("max_seq_length", max_seq_length)):
            if given.get(key) is None and accepts(layer, key, by_name_only=True):
                keywords[key] = value
        if given.get("has_state") is None and accepts(layer, "has_state", by_name_only=True):
            kinds = frozenset[str]().union(*(emitted_kinds(module) for module in built))
            keywords["has_state"] = state_kind(target_of(layer)) in kinds
        if self.feed_layer_idx and accepts(layer, "layer_idx"):
            keywords["layer_idx"] = index
        if self.layer_idx_as_attention_seed and isinstance(given.get("attention_cfg"), dict):
            keywords["attention_cfg"] = {**given["attention_cfg"], "seed": index}
        return keywords

    def _factory_mistakes(self, index: int, layer: Any) -> list[str]:
        where = self.where(index)
        wrong = call_mistakes(where, layer, self._keywords(index, layer, 1), "hidden_cfg")
        if self.feed_layer_idx and not accepts(layer, "layer_idx"):
            wrong.append(
                f"feed_layer_idx=True, but {where}={name_of(layer)} does not accept layer_idx: "
                "leave feed_layer_idx out, or use a class that has it"
            )
        if isinstance(target_of(layer), type):
            wrong += _forward_mistakes(where, target_of(layer))
        return wrong

    def _effect_mistakes(self) -> list[str]:
        """Say which settings can not have any effect."""
        factories = [layer for layer in self.layers if is_factory(layer)]
        wrong = []
        if self.feed_layer_idx and self.layers and not factories:
            wrong.append("feed_layer_idx=True has no effect: every hidden_cls is already an instance")
        if self.layer_idx_as_attention_seed and self.layers:
            configs = [{**given_to(f), **self.hidden_cfg}.get("attention_cfg") for f in factories]
            if not any(isinstance(config, dict) for config in configs):
                reason = "hidden_cfg has no dict attention_cfg" if factories else "hidden_cls are instances"
                wrong.append(f"layer_idx_as_attention_seed=True has no effect: {reason}")
        return wrong

    def _recursion_mistakes(self) -> list[str]:
        recursive = [i for i, layer in enumerate(self.layers) if is_recursive(target_of(layer))]
        if self.recursive and self.layers and not recursive:
            names = sorted({name_of(layer) for layer in self.layers})
            return [f"recursive=True, but no layer of hidden_cls takes a state: {names}; set recursive=False"]
        if self.recursive:
            return []
        return [
            f"{self.where(i)}={name_of(self.layers[i])} is recursive: set recursive=True"
            for i in recursive
            if getattr(target_of(self.layers[i]), "recursive", None) is True
        ]

    def _module_mistakes(self, index: int, module: Any, width: int) -> list[str]:
        if not isinstance(module, nn.Module):
            return [f"{self.where(index)} built a {type(module).__name__}: expected a module"]
        config = getattr(module, "config", None)
        size = config.get("hidden_size") if isinstance(config, dict) else None
        if size not in (None, width):
            return [
                f"{self.where(index)}={name_of(module)} has hidden_size={size}: "
                f"expected the embedding's, {width}"
            ]
        if not self.recursive and getattr(module, "recursive", None) is True:
            return [f"{self.where(index)}={name_of(module)} holds a recursive block: set recursive=True"]
        return _forward_mistakes(self.where(index), module)


def is_recursive(layer: Any) -> bool:
    """Return whether a module, or what a class builds, takes and returns a state.

    It says so in an attribute ``recursive``; without one, its ``forward`` takes a third argument. A
    class for which it depends on the blocks it will hold may do so.
    """
    says = getattr(layer, "recursive", None)
    if isinstance(says, property):
        return True
    if isinstance(says, bool):
        return says
    return _inputs_of(layer) > 2


def state_kind(layer: Any) -> str:
    """Return which state a layer reads; those that do not say share one."""
    kind = getattr(layer, "state_kind", None)
    return kind if isinstance(kind, str) else Block.state_kind


def emitted_kinds(layer: nn.Module) -> frozenset[str]:
    """Return which states a layer leaves to those after it."""
    if isinstance(layer, Block):
        return kinds_of(layer)
    return frozenset([state_kind(layer)] if is_recursive(layer) else [])


def make_slots(
    layers: Sequence[nn.Module], mask_layer: nn.Module, *, recursive: bool
) -> tuple[list[Slot], list[nn.Module], list[nn.Module]]:
    """Return the slots, the distinct modules, and the mask layers (``mask_layer`` first)."""
    blocks: list[nn.Module] = []
    places: dict[int, int] = {}
    masks = [mask_layer]
    mask_places: dict[Any, int] = {}
    slots = []
    for layer in layers:
        if id(layer) not in places:
            places[id(layer)] = len(blocks)
            blocks.append(layer)
        wanted = getattr(layer, "mask_cls", None)
        if wanted is not None and wanted not in mask_places:
            mask_places[wanted] = len(masks)
            masks.append(wanted if isinstance(wanted, nn.Module) else wanted())
        default = wanted is None
        slots.append(
            Slot(
                block=places[id(layer)],
                recursive=recursive and is_recursive(layer),
                state_kind=state_kind(layer),
                mask=0 if default else mask_places[wanted],
                mask_may_be_none=isinstance(layer, Block)
                and (not default or type(mask_layer) is SelfAttentionMask),
            )
        )
    return slots, blocks, masks


def call_layer(
    layer: Callable[..., Any], slot: Slot, data: Tensor, mask: Tensor | None, states: dict[str, Any]
) -> Tensor:
    """Return a layer's output [B, T, D], and put the state that it returns into ``states``.

    Raises:
        InputError: the layer returned something else than a tensor, or than (tensor, state).
    """
    if not slot.recursive:
        out = layer(data, mask)
    else:
        every = slot.state_kind == ALL_STATES  # a copy, for a layer that is run again in the backward pass
        result = layer(data, mask, dict(states) if every else states.get(slot.state_kind))
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise InputError(
                f"{name_of(layer)} takes a state, but returned a {type(result).__name__}: "
                "expected (data, state)"
            )
        out, state = result
        states.update(state if every else {slot.state_kind: state})
    if not isinstance(out, Tensor):
        raise InputError(f"{name_of(layer)} returned a {type(out).__name__}: expected a tensor [B, T, D]")
    return out


class ForwardMasks:
    """The attention masks of one forward pass, each made once."""

    def __init__(
        self,
        layers: nn.ModuleList,
        data: Tensor,
        input_mask: Tensor | None,
        embedded_mask: Tensor | None,
    ) -> None:
        self._layers, self._data, self._embedded = layers, data, embedded_mask
        self._padding = padding_of(embedded_mask) if input_mask is None else input_mask
        self._made: dict[int, Tensor] = {}

    def for_slot(self, slot: Slot) -> Tensor | None:
        """Return what the slot's layer is called with."""
        if slot.mask == 0 and self._embedded is not None:
            return self._embedded
        if self._padding is None and slot.mask_may_be_none:
            return None
        if slot.mask not in self._made:
            self._made[slot.mask] = self._layers[slot.mask](self._data, self._padding_or_ones())
        return self._made[slot.mask]

    def _padding_or_ones(self) -> Tensor:
        if self._padding is None:
            return self._data.new_ones(self._data.shape[:2])
        return self._padding


def _inputs_of(layer: Any) -> int:
    forward = getattr(layer, "forward", None)
    if forward is None or not (isinstance(layer, nn.Module | type)):
        return 0
    return positional_count(forward) - isinstance(layer, type)


def _forward_mistakes(where: str, layer: Any) -> list[str]:
    """Say that a layer can not be called with data and mask, where its signature tells."""
    if _inputs_of(layer) >= 2 or takes_any_number(layer.forward):
        return []
    return [f"{where}={name_of(layer)}: its forward must take (data, attention_mask[, state])"]
