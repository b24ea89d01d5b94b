"""What a candidate costs, from its values alone: each distinct layer is built once, without memory."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas.config import links
from nas.config.fit import fit_blocks, fit_embedding
from nas.config.instantiate import instantiate_node
from nas.costs.encoder import Cost, cost
from nas.search.spaces.base import Base

if TYPE_CHECKING:
    from nas.tasks.base import Task


@dataclass(frozen=True)
class Candidate:
    """An encoder's configuration, brought to its task.

    Attributes:
        node: resolved, with ``_target_``.
        seq_length: T of a row.
        batch_size: B of a training step.
    """

    node: dict[str, Any]
    seq_length: int
    batch_size: int

    def cost(self) -> Cost:
        """Return what it costs.

        Raises:
            InputError: it cannot be built.
        """
        return cost(self.node, self.batch_size, self.seq_length)


class Pricing:
    """Turns changes of the shared configuration into candidates and their costs.

    Args:
        base: the shared configuration.
    """

    def __init__(self, base: Base) -> None:
        self._base = base

    def candidate(self, changes: Mapping[str, Any]) -> Candidate:
        """Return the encoder that changes of the configuration make.

        Raises:
            InputError: they make none.
        """
        plain, _ = self._base.changed(changes)
        node = _encoder(plain)
        task = _task(json.dumps(links.followed(plain["task"], plain)))
        fit_embedding(node.get("embedding"), task)
        fit_blocks(node.get("blocks"), node.get("embedding"))
        batch_size = links.followed(plain["trainer"]["batch_size"], plain)
        return Candidate(node, task.seq_length, batch_size)

    def costs(self, changes: Mapping[str, Any]) -> dict[str, float]:
        """Return the measures that need no device, by name.

        Raises:
            InputError: the encoder cannot be built.
        """
        found = self.candidate(changes).cost()
        return {
            "cost/parameters": found.parameters,
            "cost/flops_per_token": found.flops_per_token,
            "cost/training_flops_per_token": found.training_flops_per_token,
            "cost/activation_bytes": found.activation_bytes,
        }


def _encoder(plain: dict[str, Any]) -> dict[str, Any]:
    """Return the resolved encoder, of its pool only the blocks in use."""
    encoder = plain["encoder"]
    slots, blocks = encoder.get("hidden_cls"), encoder.get("blocks")
    if isinstance(slots, list) and isinstance(blocks, dict):
        used = dict.fromkeys(slot for slot in slots if isinstance(slot, str) and slot in blocks)
        encoder = {**encoder, "blocks": {name: blocks[name] for name in used}}
    resolved: dict[str, Any] = links.followed(encoder, plain)
    return resolved


@functools.lru_cache(64)
def _task(node: str) -> Task:
    task: Task = instantiate_node("task", json.loads(node))
    return task
