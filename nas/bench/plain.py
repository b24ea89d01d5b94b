"""Plain forms: what a block computes without its fast path, by the same weights."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from nas.blocks.attention.local import LocalAttention
from nas.blocks.attention.softmax import use_plain


def always(*_: object) -> bool:
    """Choose the plain way."""
    return True


def never(*_: object) -> bool:
    """Choose no fast way."""
    return False


PLAIN: dict[Callable[..., Any], Callable[..., Any]] = {
    use_plain: always,  # two products and a softmax in place of the fused kernel
    LocalAttention._chunked: never,  # all T x T scores, most of them hidden
}
"""A function or method of ``nas.blocks`` that is or chooses a fast path, and what takes its place."""


class PlainForm(nn.Module):
    """A block whose fast functions are replaced while it runs.

    Args:
        block: shared, not copied.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.used = 0
        self._places = [
            (owner, name, self._counted(PLAIN[value]))
            for owner in _owners()
            for name, value in vars(owner).items()
            if isinstance(value, FunctionType) and value in PLAIN
        ]

    def forward(self, data: Tensor) -> Any:
        """Map [B, T, D] as the block does."""
        with self._swapped():
            return self.block(data)

    def _counted(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.used += 1
            return plain(*args, **kwargs)

        return call

    @contextmanager
    def _swapped(self) -> Iterator[None]:
        before = [(owner, name, vars(owner)[name]) for owner, name, _ in self._places]
        for owner, name, call in self._places:
            setattr(owner, name, call)
        try:
            yield
        finally:
            for owner, name, value in before:
                setattr(owner, name, value)


def plain_form(block: nn.Module, data: Tensor) -> PlainForm | None:
    """Return the block without its fast path, or None if nothing of it takes one for ``data`` [B, T, D]."""
    plain = PlainForm(block)
    with torch.no_grad():
        plain(data)
    return plain if plain.used else None


def _owners() -> list[ModuleType | type]:
    """Return the loaded modules of blocks, each with a name of its own for what it imports, and classes."""
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("nas.blocks.")]
    classes = [
        c for m in modules for c in vars(m).values() if isinstance(c, type) and c.__module__ == m.__name__
    ]
    return [*modules, *classes]
