"""An encoder's configuration taken apart for counting, each distinct layer built once on the meta device."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from nas.architecture import state_kinds
from nas.costs.measure import Layer
from nas.costs.nodes import fitted, make, ties
from nas.costs.parts import Parts, Place, last_layers, layer_of, new_parameters, parts_of
from nas.errors import InputError
from nas.factories import name_of
from nas.pool import encoder_from_pool
from nas.scaffold import EncoderScaffold
from nas.scaffold_checks import build_part
from nas.scaffold_slots import SlotPlan, is_recursive, make_slots
from nas.slots import expand, unknown_names

_POOL = "nas.pool.encoder_from_pool"
_REMEMBERED = 1 << 13
_UNUSUAL = ("layer_idx_as_attention_seed", "feed_layer_idx")
"""Flags that make a layer depend on its position: such an encoder is built as a whole."""


def parts_of_config(config: Any, seq_length: int, vocab_size: int | None) -> Parts:
    """Take a configuration apart; equal to `parts_of` of what it would build.

    Args:
        config: resolved, with ``_target_``; a plain mapping or OmegaConf.
        seq_length: stands for the embedding's ``max_seq_length`` where that is null.
        vocab_size: stands for the embedding's where that is null.

    Raises:
        InputError: it can not be built, or names a class that a configuration may not.
    """
    node = fitted(_plain(config), seq_length, vocab_size)
    target = node.get("_target_")
    if target == _POOL and not any(node.get(flag) for flag in _UNUSUAL) and not ties(node):
        return _from_pool(node)
    return parts_of(_whole(node, "meta"))


def build(
    config: Any, seq_length: int, vocab_size: int | None = None, device: str = "meta"
) -> EncoderScaffold:
    """Build a configuration's encoder; the first arguments are those of `parts_of_config`.

    Raises:
        InputError: see `parts_of_config`.
    """
    return _whole(fitted(_plain(config), seq_length, vocab_size), device)


def _plain(config: Any) -> dict[str, Any]:
    if not isinstance(config, dict):
        from omegaconf import OmegaConf

        config = OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config
    if not isinstance(config, Mapping) or not isinstance(config.get("_target_"), str):
        what = type(config).__name__
        raise InputError(f"encoder={what} must be an EncoderScaffold, or a configuration with _target_")
    return dict(config)


@dataclass(frozen=True)
class _Before:
    """What a fresh block is told of the place where it is built.

    Attributes:
        width: D.
        max_seq_length: the embedding's.
        states: the kinds of state that come from layers before.
        index: its position, for messages; None: any.
    """

    width: int
    max_seq_length: int | None
    states: frozenset[str]
    index: int | None = None


class _Earlier(nn.Module):
    """Stands for an earlier layer."""

    def __init__(self, kind: str | None = None) -> None:
        super().__init__()
        self.recursive, self.state_kind = kind is not None, kind

    def forward(self, data: Any, attention_mask: Any, state: Any = None) -> Any:
        """Return its input."""
        return data, state


def _from_pool(node: dict[str, Any]) -> Parts:
    blocks = node.get("blocks") or {}
    listed = node.get("hidden_cls") or []
    slots = expand(listed, node.get("num_layers"))
    mistakes = unknown_names(slots, blocks)
    if mistakes:
        raise InputError(*mistakes)
    mask = json.dumps(node.get("mask"))
    embedding = _embedding(json.dumps(node.get("embedding")))
    width = getattr(embedding.module, "hidden_size", None) or node["hidden_size"]
    names = [slot if isinstance(slot, str) else index % len(listed) for index, slot in enumerate(slots)]
    nodes = {
        name: blocks[slot] if isinstance(slot, str) else slot for name, slot in zip(names, slots, strict=True)
    }
    places = _places(names, nodes, mask, width, getattr(embedding.module, "max_seq_length", None))
    pooled, normed = (
        node.get("pooled_output_dim") or node["hidden_size"],
        bool(node.get("layer_norm_before_pooling")),
    )
    return Parts(
        embedding=embedding,
        slots=places,
        width=width,
        pooled=pooled,
        normed=normed,
        parameters=embedding.parameters
        + sum(place.parameters for place in places)
        + sum(layer.parameters for layer in last_layers(width, pooled, normed))
        + _mask_parameters(mask, frozenset(getattr(p.layer.module, "mask_cls", None) for p in places)),
    )


def _places(
    names: Sequence[str | int],
    nodes: Mapping[str | int, Any],
    mask: str,
    width: int,
    max_seq_length: int | None,
) -> list[Place]:
    """Return the layer of each slot: a fresh one, or the first of its name if it is shared."""
    texts = {name: json.dumps(node) for name, node in nodes.items()}
    shared = {name for name, node in nodes.items() if not node.get("_partial_")}
    first: dict[str | int, int] = {}
    states: set[str] = set()
    places: list[Place] = []
    for index, name in enumerate(names):
        earlier = first.setdefault(name, index)
        again = name in shared and earlier != index
        if again:
            layer = places[earlier].layer
        elif name in shared:
            layer = _layer(texts[name], mask, _Before(width, max_seq_length, frozenset(), index))
        else:
            layer = _fresh(texts[name], mask, _Before(width, max_seq_length, frozenset(states), index))
        states |= state_kinds(layer.module, layer.slot)
        places.append(Place(layer, 0 if again else layer.parameters, earlier if again else None))
    return places


def _fresh(node: str, mask: str, before: _Before) -> Layer:
    try:
        return _layer(node, mask, replace(before, index=None))
    except InputError:
        return _layer(node, mask, before)  # the same mistake, with its position


@functools.lru_cache(_REMEMBERED)
def _layer(node: str, mask: str, before: _Before) -> Layer:
    """Build one slot's layer as a scaffold would, after stand-ins for what comes before it."""
    earlier: list[nn.Module] = [_Earlier(kind) for kind in sorted(before.states)]
    earlier += [_Earlier() for _ in range(len(earlier), before.index or 0)]
    with torch.device("meta"):
        made = make("encoder.hidden_cls", json.loads(node))
        recursive = bool(before.states) or bool(getattr(getattr(made, "func", made), "recursive", False))
        plan = SlotPlan([*earlier, made], recursive=recursive)
        mistakes = plan.mistakes()
        if mistakes:
            raise InputError(*mistakes)
        try:
            module = plan.build(before.width, before.max_seq_length)[-1]
        except TypeError as error:
            raise InputError(f"{plan.where(len(earlier))}={name_of(made)}: {error}") from error
        [slot], _, masks = make_slots([module], _mask(mask), recursive=is_recursive(module))
    return layer_of(module, slot, masks[slot.mask])


@functools.lru_cache(256)
def _embedding(node: str) -> Layer:
    with torch.device("meta"):
        return layer_of(build_part("embedding", make("encoder.embedding", json.loads(node)), None))


@functools.lru_cache(256)
def _mask(node: str) -> nn.Module:
    with torch.device("meta"):
        return build_part("mask", make("encoder.mask", json.loads(node)), None)


@functools.lru_cache(256)
def _mask_parameters(node: str, wanted: frozenset[Any]) -> int:
    with torch.device("meta"):
        own = [w if isinstance(w, nn.Module) else w() for w in wanted if w is not None]
    return sum(new_parameters(mask, set()) for mask in [_mask(node), *own])


def _whole(node: dict[str, Any], device: str) -> EncoderScaffold:
    target = node["_target_"]
    with torch.device(device):
        if target == _POOL:
            arguments = {k: make(f"encoder.{k}", v) for k, v in node.items() if k != "_target_"}
            try:
                return encoder_from_pool(**arguments)
            except TypeError as error:
                raise InputError(f"encoder: {error}") from error
        encoder = make("encoder", node)
    if not isinstance(encoder, EncoderScaffold):
        raise InputError(f"encoder._target_={target!r} builds no EncoderScaffold, such as {_POOL}")
    return encoder
