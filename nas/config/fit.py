"""An encoder's configuration brought to its task: vocabulary, length and the blocks in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas.errors import InputError

if TYPE_CHECKING:
    from nas.tasks.base import Task


def fit_embedding(embedding: Any, task: Task) -> None:
    """Tell an embedding the task's vocabulary and length where its own are null.

    Raises:
        InputError: its own are too small.
    """
    needed = {"vocab_size": task.vocab_size, "max_seq_length": task.longest}
    if not isinstance(embedding, dict):
        return
    for key, least in needed.items():
        if key in embedding and embedding[key] is None:
            embedding[key] = least
        elif isinstance(embedding.get(key), int) and embedding[key] < least:
            raise InputError(
                f"embedding.{key}={embedding[key]} is less than the {least} that task={task.name} needs"
            )


def fit_blocks(node: Any, embedding: Any) -> None:
    """Tell fixed-length blocks the embedding's length, shared and nested ones too."""
    length = embedding.get("max_seq_length") if isinstance(embedding, dict) else None
    if not isinstance(node, dict):
        return
    if "_target_" in node and "max_seq_length" in node and node["max_seq_length"] is None:
        node["max_seq_length"] = length
    for inner in node.values():
        fit_blocks(inner, embedding)


def in_use(encoder: dict[str, Any]) -> Any:
    """Return the pool in the order of use: names and spare blocks must not change what is drawn."""
    slots, blocks = encoder["hidden_cls"], encoder["blocks"]
    if not isinstance(slots, list) or not isinstance(blocks, dict):
        return blocks
    named = (slot for slot in slots if isinstance(slot, str) and slot in blocks)
    return {name: blocks[name] for name in dict.fromkeys(named)}
