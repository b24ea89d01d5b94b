"""The four projections of the original's attention layers, in the shapes of ours."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nas.blocks.base import Block
from nas.interop.model_garden.weights import State, Weights, stack


def projections(weights: Weights, head_size: int, *, output: State | None = None) -> tuple[State, ...]:
    """Return query, key, value and output projections as Linears'.

    Heads of values that are narrower or wider than those of keys are filled up with zeros to
    ``head_size``, the larger of both: the same function, with queries scaled to make up for it.

    Args:
        weights: those of the attention layer.
        head_size: K of our attention.
        output: the output projection, if it is laid out otherwise than [H, K, D].
    """
    keys, values = (weights.shape(f"{name}_dense/kernel")[-1] for name in ("key", "value"))
    query, key, value = (weights.to_heads(f"{name}_dense") for name in ("query", "key", "value"))
    output = weights.from_heads("output_dense") if output is None else output
    if keys < head_size:
        query, key = (_widened(state, keys, head_size) for state in (query, key))
        query = {kind: rows * (head_size / keys) ** 0.5 for kind, rows in query.items()}
    if values < head_size:
        value = _widened(value, values, head_size)
        output["weight"] = _wide(output["weight"].T, values, head_size).T
    return query, key, value, output


def fill_attention(attention: Block, weights: Weights) -> None:
    """Fill a block whose projections are ``qkv`` and ``output`` from the original's attention layer."""
    size = attention.head_size
    assert isinstance(size, int)
    *parts, output = projections(weights, size)
    weights.fill(attention, qkv=stack(*parts), output=output)


def _widened(state: State, size: int, wanted: int) -> State:
    return {kind: _wide(rows, size, wanted) for kind, rows in state.items()}


def _wide(rows: Tensor, size: int, wanted: int) -> Tensor:
    """Add zeros after every ``size`` rows [H * size, ...], up to ``wanted``."""
    columns = rows.reshape(-1, size, *rows.shape[1:]).movedim(1, -1)
    return F.pad(columns, (0, wanted - size)).movedim(-1, 1).flatten(0, 1)
