"""The modules of a supernet, one for each place and choice, and the paths that lists take through them."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nas.config.instantiate import instantiate_node
from nas.factories import accepts, given_to, is_factory, target_of
from nas.scaffold_slots import SlotPlan, emitted_kinds, is_recursive, state_kind
from nas.search.pricing import Candidate
from nas.search.supernet.network import Path, Supernet
from nas.seeding import seed_torch
from nas.slots import expand

List = Sequence[Any]
"""A list of blocks as a configuration has it: names of the pool, and nodes."""


@dataclass(frozen=True)
class Part:
    """One module of a supernet.

    Attributes:
        place: where in a list it stands, empty slots left out; None: everywhere, its weights are shared.
        item: the text of what stands there.
        stated: whether a state of its kind comes in, for blocks that are built differently then.
    """

    place: int | None
    item: str
    stated: bool | None


def items_of(lists: Sequence[List]) -> list[Any]:
    """Return everything that stands in some list, once."""
    return list({_text(item): item for slots in lists for item in slots}.values())


def build_supernet(candidate: Candidate, lists: Sequence[List], tied: bool, seed: int) -> Supernet:
    """Build the supernet of some lists, its paths in their order.

    Args:
        candidate: an encoder whose list is that of `items_of`.
        lists: of blocks.
        tied: whether blocks of one name share their weights wherever they stand.
        seed: of the weights.

    Raises:
        InputError: a block cannot be built.
    """
    given = instantiate_node("encoder", {**candidate.node, "_partial_": True}).keywords
    items = dict(zip(map(_text, items_of(lists)), given["hidden_cls"], strict=True))
    made = {text: given["blocks"][item] if isinstance(item, str) else item for text, item in items.items()}
    tiled = [expand(slots, given.get("num_layers")) for slots in lists]
    width, length = given["hidden_size"], candidate.node["embedding"].get("max_seq_length")
    parts, paths = _routes(tiled, made, _kinds(made, width, length), tied)
    seed_torch(seed, "encoder")
    layers = [_layer(made[part.item], part.stated) for part in parts]
    supernet = Supernet(
        pooled_output_dim=given.get("pooled_output_dim") or width,
        embedding_cls=given["embedding"],
        num_hidden_instances=len(layers),
        hidden_cls=layers,
        mask_cls=given["mask"],
        layer_norm_before_pooling=given.get("layer_norm_before_pooling", False),
        recursive=any(is_recursive(target_of(layer)) for layer in layers),
    )
    supernet.paths = paths
    return supernet


def _routes(
    lists: Sequence[List], made: Mapping[str, Any], kinds: Mapping[str, frozenset[str]], tied: bool
) -> tuple[list[Part], list[Path]]:
    """Return the parts that lists need, and the path of each list through them."""
    index: dict[Part, int] = {}
    paths = []
    for slots in lists:
        texts = [_text(item) for item in slots]
        seen: set[str] = set()
        path = []
        for place, text in enumerate([t for t in texts if not _is_empty(made[t])] or texts[:1]):
            shared = tied or not is_factory(made[text])
            stated = None if shared else _stated(made[text], seen)
            part = Part(None if shared else place, text, stated)
            path.append(index.setdefault(part, len(index)))
            seen |= kinds[text]
        paths.append(tuple(path))
    return list(index), paths


def _kinds(made: Mapping[str, Any], width: int, length: int | None) -> dict[str, frozenset[str]]:
    """Return which states each item leaves to what comes after it."""
    recursive = any(is_recursive(target_of(layer)) for layer in made.values())
    with torch.device("meta"):
        built = SlotPlan(list(made.values()), recursive=recursive).build(width, length)
    return dict(zip(made, map(emitted_kinds, built), strict=True))


def _stated(layer: Any, seen: set[str]) -> bool | None:
    asks = accepts(layer, "has_state", by_name_only=True) and given_to(layer).get("has_state") is None
    return state_kind(target_of(layer)) in seen if asks else None


def _layer(made: Any, stated: bool | None) -> Any:
    if stated is None:
        return made
    # Not a partial of a partial: what it calls shall be a class.
    return functools.partial(target_of(made), **{**given_to(made), "has_state": stated})


def _is_empty(layer: Any) -> bool:
    return getattr(target_of(layer), "role", None) == "none"


def _text(item: Any) -> str:
    return item if isinstance(item, str) else json.dumps(item, sort_keys=True)
