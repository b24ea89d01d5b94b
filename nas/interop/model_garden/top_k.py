"""The order in which TensorFlow's CPU kernel returns ``top_k(sorted=False)``: that of a binary heap."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Worse = Callable[[int, int], bool]


def heap_order(values: Tensor, count: int) -> Tensor:
    """Return the indices of the ``count`` greatest values of the last axis, in the kernel's order.

    It keeps the least of them at the root, and fills a hole from its worse child (as the standard
    library of GNU does). Of equal values the earlier one is greater. Only a router's own masks show
    this order; sums over it do not.

    Args:
        values: [..., N].
        count: at most N.
    """
    rows = values.reshape(-1, values.shape[-1]).tolist()
    kept = torch.tensor([_kept(row, count) for row in rows], dtype=torch.long, device=values.device)
    return kept.reshape(*values.shape[:-1], count)


def _kept(row: Sequence[float], count: int) -> list[int]:
    everything = range(len(row))
    if count in (0, len(row)):
        return sorted(everything, key=lambda i: (-row[i], i))[:count]

    def worse(a: int, b: int) -> bool:
        return row[a] < row[b] or (row[a] == row[b] and a > b)

    heap = list(range(count + 1))
    for hole in range((count - 1) // 2, -1, -1):
        _sink(heap, hole, heap[hole], worse)
    _drop_worst(heap, worse)
    for index in everything[count + 1 :]:
        if worse(heap[0], index):
            _drop_worst(heap, worse)
            heap.append(index)
            _rise(heap, len(heap) - 1, 0, index, worse)
    return heap


def _drop_worst(heap: list[int], worse: Worse) -> None:
    last = heap.pop()
    if heap:
        _sink(heap, 0, last, worse)


def _sink(heap: list[int], start: int, item: int, worse: Worse) -> None:
    """Move the hole at ``start`` down along the worse children to a leaf, and put ``item`` up from there."""
    hole = start
    while (child := 2 * hole + 2) <= len(heap):
        if child == len(heap) or worse(heap[child - 1], heap[child]):
            child -= 1
        heap[hole] = heap[child]
        hole = child
    _rise(heap, hole, start, item, worse)


def _rise(heap: list[int], hole: int, top: int, item: int, worse: Worse) -> None:
    """Put ``item`` into the hole, or as far above it (below ``top``) as it is worse than what is there."""
    while hole > top and worse(item, heap[(hole - 1) // 2]):
        heap[hole] = heap[(hole - 1) // 2]
        hole = (hole - 1) // 2
    heap[hole] = item
