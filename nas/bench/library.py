"""The blocks that can be measured: every file of ``conf/block``, built as a run would build it."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from nas.bench.base import Shape
from nas.blocks.base import Block
from nas.config.compose import Composed, compose, with_values
from nas.config.groups import group_options, hydra_loaded
from nas.config.instantiate import instantiate_node
from nas.config.parts import build_encoder
from nas.errors import InputError, not_allowed

WITHOUT_WORK = ("none",)
"""Not measured: it returns its input."""


@functools.cache
def block_names() -> tuple[str, ...]:
    """Return every file of ``conf/block`` without its ending, such as ``attention/mha``."""
    with hydra_loaded():
        groups = group_options()
    found = [
        f"{group}/{option}".removeprefix("block/")
        for group, options in groups.items()
        if group == "block" or group.startswith("block/")
        for option in options
    ]
    return tuple(sorted(name for name in found if name not in WITHOUT_WORK))


def choose_blocks(wanted: Sequence[str] | None) -> list[str]:
    """Return full names for full names, last parts (``mha``) and folders (``attention``); None: all.

    Raises:
        InputError: a name fits no block; each is told with the nearest one.
    """
    if wanted is None:
        return list(block_names())
    chosen: dict[str, None] = {}
    wrong: list[str] = []
    for text in wanted:
        fitting = [n for n in block_names() if text in (n, n.rpartition("/")[2], n.partition("/")[0])]
        if not fitting:
            short = [name.rpartition("/")[2] for name in block_names()]
            wrong.append(not_allowed("bench.blocks", text, short))
        chosen.update(dict.fromkeys(fitting))
    if wrong:
        raise InputError(*wrong)
    return list(chosen)


def build_block(name: str, shape: Shape, seed: int, settings: Mapping[str, Any]) -> Block:
    """Build the block of one file as the only slot of an encoder, so that it is what a run would have.

    Args:
        name: such as ``attention/mha``.
        shape: D and H are the encoder's, T the longest input.
        seed: of the weights.
        settings: arguments of the block to change.

    Raises:
        InputError: the block does not take these sizes or settings.
    """
    sizes = {"hidden_size": shape.hidden_size, "num_heads": shape.num_heads}
    changed = {f"blocks.it.{key}": value for key, value in settings.items()}
    overrides = [f"encoder.{key}={json.dumps(value)}" for key, value in {**sizes, **changed}.items()]
    overrides += [f"task.seq_length={shape.tokens}", f"seed={seed}"]
    config = with_values(_alone(name), "train", overrides).values()
    encoder = build_encoder(config, instantiate_node("task", config["task"]))
    [block] = encoder.hidden_layers
    assert isinstance(block, Block)
    return block


@functools.cache
def _alone(name: str) -> Composed:
    slot = [f"+block@encoder.blocks.it={name}", "encoder.hidden_cls=[it]"]
    return compose("train", ["encoder=base", "task=mlm", "tracker=none", *slot])
