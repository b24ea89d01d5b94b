"""The objects that a resolved configuration describes: the encoder, and all that is cheap to make."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nas.config.fit import fit_blocks, fit_embedding, in_use
from nas.config.instantiate import instantiate_node
from nas.errors import InputError

if TYPE_CHECKING:
    from nas.scaffold import EncoderScaffold
    from nas.tasks.base import Task


def build_encoder(config: dict[str, Any], task: Task) -> EncoderScaffold:
    """Build the encoder of a resolved configuration, with the vocabulary and length of its task.

    Its weights depend on ``config["seed"]`` alone.

    Raises:
        InputError: sizes that do not fit each other or the task, or a block lacks a method.
    """
    from nas.seeding import seed_torch

    node = json.loads(json.dumps(config["encoder"]))
    fit_embedding(node["embedding"], task)
    fit_blocks(node["blocks"], node["embedding"])
    node["blocks"] = in_use(node)
    seed_torch(config["seed"], "encoder")
    encoder: EncoderScaffold = instantiate_node("encoder", node)
    _check_defined(encoder)
    return encoder


def _check_defined(encoder: EncoderScaffold) -> None:
    """Refuse blocks that could be trained but not described: told before the data is prepared."""
    from nas.blocks.base import Block

    kinds = dict.fromkeys(type(module) for module in encoder.modules() if isinstance(module, Block))
    lacking = {kind: kind.undefined() for kind in kinds}
    mistakes = [f"{_path(k)} must define {', '.join(names)}" for k, names in lacking.items() if names]
    if mistakes:
        raise InputError(*(f"encoder: the block class {mistake}" for mistake in mistakes))


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def make_parts(config: dict[str, Any]) -> dict[str, Any]:
    """Instantiate all that is cheap; the mistakes of every part are reported together."""
    parts: dict[str, Any] = {}
    mistakes: list[str] = []
    for key in ("task", "optimizer", "schedule", "trainer", "tracker"):
        try:
            parts[key] = instantiate_node(key, config[key])
        except InputError as error:
            mistakes.extend(error.mistakes)
    if mistakes:
        raise InputError(*mistakes)
    return parts
