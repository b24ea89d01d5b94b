"""An encoder without its weights: its canonical form, hash and one-line string."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from nas.blocks.base import Block
from nas.blocks.span import kinds_of
from nas.masks import SelfAttentionMask
from nas.scaffold import EncoderScaffold
from nas.scaffold_config import ConfigWriter, Live, path_of
from nas.scaffold_slots import Slot

_ABSENT = object()
_OF_THE_TASK = ("vocab_size", "seq_length", "max_seq_length")
"""Embedding settings that come with a task: an architecture keeps its hash from task to task."""


def canonical(encoder: EncoderScaffold) -> dict[str, Any]:
    """Return what makes an encoder this architecture, JSON-able: equal forms build equal functions.

    ``none`` slots are left out. ``slots`` refers to ``blocks`` by index, as does ``inner`` of a block
    made of blocks: an index that comes twice is one module with shared weights (a module without
    weights counts as a fresh one each time). What belongs to the task (vocabulary and lengths), names
    of pool entries and the outputs' form do not count; dropout and initializers do, as they change
    what is learnt.
    """
    table = _Blocks(encoder.max_seq_length)
    kinds: set[str] = set()
    slots: list[int] = []
    for layer, slot in zip(encoder.hidden_layers, encoder.slots, strict=True):
        if role_of(layer) != "none":
            slots.append(table.place_of(layer, stated=slot.state_kind in kinds))
            kinds |= state_kinds(layer, slot)
    return {
        "blocks": table.blocks,
        "slots": slots,
        "ties": _ties(encoder),
        "embedding": _part(encoder.embedding, without=_OF_THE_TASK),
        "mask": _mask(encoder),
        "output_layer_norm": encoder.output_layer_norm is not None,
        "pooled_output_dim": encoder.pooler_layer.out_features,
        "pooler_layer_initializer": jsonable(encoder.config.get("pooler_layer_initializer")),
    }


def _ties(encoder: EncoderScaffold) -> list[list[Any]]:
    """Return where modules of different slots hold one parameter, such as one attention inside both."""
    first: dict[int, tuple[int, str]] = {}
    ties: list[list[Any]] = []
    used = [layer for layer in dict.fromkeys(encoder.hidden_layers) if role_of(layer) != "none"]
    for place, layer in enumerate(used):
        for name, parameter in layer.named_parameters():
            owner = first.setdefault(id(parameter), (place, name))
            if owner[0] != place:
                ties.append([*owner, place, name])
    return ties


class _Blocks:
    """The distinct blocks of an encoder in the order of their first use, each with its settings."""

    def __init__(self, max_seq_length: int | None) -> None:
        self.blocks: list[dict[str, Any]] = []
        self._places: dict[int, int] = {}
        self._max_seq_length = max_seq_length

    def place_of(self, layer: nn.Module, *, stated: bool) -> int:
        """Return a layer's index; ``stated``: a state of its kind comes in, as far as its place tells."""
        shared = any(True for _ in layer.parameters())
        if shared and id(layer) in self._places:
            return self._places[id(layer)]
        place = self._places[id(layer)] = len(self.blocks)
        implied = {"has_state": stated, "max_seq_length": self._max_seq_length}
        form = _part(layer, without=[k for k, v in implied.items() if _setting(layer, k) == v])
        self.blocks.append(form)
        if inner_blocks(layer):
            form["inner"] = [self.place_of(block, stated=False) for block in inner_blocks(layer)]
        return place


def architecture_hash(encoder: EncoderScaffold) -> str:
    """Return 12 hexadecimal digits that are the same for encoders with one canonical form."""
    text = json.dumps(canonical(encoder), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def architecture_string(encoder: EncoderScaffold) -> str:
    """Return the labels of the slots, such as ``mha-geglu-conv-geglu``; ``none`` if all are empty.

    Empty slots are left out. A module used again is marked by ``=``, and several uses in a row are
    written with their number: ``layer*4``, ``mha-geglu-=mha-=geglu``.
    """
    words: list[str] = []
    run, seen = 0, set[int]()
    previous: nn.Module | None = None
    for layer in encoder.hidden_layers:
        if role_of(layer) == "none":
            continue
        if layer is previous:
            run += 1
            words[-1] = f"{words[-1].partition('*')[0]}*{run}"
            continue
        words.append(f"={label_of(layer)}" if id(layer) in seen else label_of(layer))
        seen.add(id(layer))
        previous, run = layer, 1
    return "-".join(words) or "none"


def label_of(layer: nn.Module) -> str:
    """Return a layer's short name: a block's label, or the class of a module from elsewhere."""
    return layer.label if isinstance(layer, Block) else type(layer).__name__


def role_of(layer: nn.Module) -> str:
    """Return a block's role, or ``foreign``."""
    return layer.role if isinstance(layer, Block) else "foreign"


def state_kinds(layer: nn.Module, slot: Slot) -> frozenset[str]:
    """Return the kinds of state that a slot's layer reads and writes."""
    if isinstance(layer, Block):
        return kinds_of(layer) if slot.recursive else frozenset()
    return frozenset([slot.state_kind] if slot.recursive else [])


def inner_blocks(layer: nn.Module) -> tuple[nn.Module, ...]:
    """Return the blocks that a block is made of, in the order of one pass; most have none."""
    inner: tuple[nn.Module, ...] = getattr(layer, "inner_blocks", ())
    return inner


def settings_of(layer: nn.Module) -> dict[str, Any]:
    """Return a layer's settings as they took effect, JSON-able; shapes if it does not know its own.

    A block may define ``effective_config() -> dict`` to leave out settings that others overrule. A
    setting of None is replaced by the number that the block chose and keeps under the same name.
    """
    effective: Callable[[], Mapping[str, Any]] | None = getattr(layer, "effective_config", None)
    config = effective() if effective is not None else getattr(layer, "config", None)
    if not isinstance(config, Mapping):
        return {"shapes": sorted([name, *p.shape] for name, p in layer.named_parameters())}
    return {key: jsonable(_in_force(layer, key, value)) for key, value in config.items()}


def jsonable(value: Any) -> Any:
    """Return a JSON-able form of a setting; what has no name is described by its class."""
    return json.loads(json.dumps(ConfigWriter().encode(value), default=_describe))


def _part(module: nn.Module, without: Sequence[str] = ()) -> dict[str, Any]:
    """Return a module's class and settings."""
    settings = {key: value for key, value in settings_of(module).items() if key not in without}
    return {"class": path_of(type(module)) or type(module).__qualname__, "settings": settings}


def _mask(encoder: EncoderScaffold) -> dict[str, Any] | None:
    """Return the scaffold's mask layer, or None where it is the default or nothing reads it."""
    mask = encoder.masks[0]
    read = any(slot.mask == 0 and role_of(encoder.blocks[slot.block]) != "none" for slot in encoder.slots)
    return _part(mask) if read and type(mask) is not SelfAttentionMask else None


def _setting(layer: nn.Module, key: str) -> Any:
    config = getattr(layer, "config", None)
    return config.get(key, _ABSENT) if isinstance(config, Mapping) else _ABSENT


def _in_force(layer: nn.Module, key: str, value: Any) -> Any:
    chosen = getattr(layer, key, None) if value is None else None
    return chosen if type(chosen) in (int, float, str) else value


def _describe(value: Any) -> str:
    live = value.value if isinstance(value, Live) else value
    return str(getattr(live, "__qualname__", None) or f"{type(live).__qualname__} {live}")
