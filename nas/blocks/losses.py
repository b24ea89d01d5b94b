"""Auxiliary losses: what a block adds to the objective, such as a ponder cost or an expert's balance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

_COLLECTING: list[dict[str, Tensor]] = []
"""The dicts of the enclosing `collect_losses`, the innermost last; a list, because compilers trace those."""


@contextmanager
def collect_losses() -> Iterator[dict[str, Tensor]]:
    """Collect what blocks add in the forward passes inside: name to the sum [] over all that added.

    Without it nothing is kept, so that a model in use holds on to nothing.
    """
    collected: dict[str, Tensor] = {}
    _COLLECTING.append(collected)
    try:
        yield collected
    finally:
        _COLLECTING.pop()


def add_loss(name: str, value: Tensor) -> None:
    """Add to the loss of that name inside the innermost `collect_losses`; elsewhere do nothing.

    Args:
        name: what it is, such as ``ponder``; blocks that use one name are summed.
        value: a scalar [], already weighted.
    """
    if _COLLECTING:
        losses = _COLLECTING[-1]
        losses[name] = losses[name] + value if name in losses else value
