"""A public rival of a block, and what is needed to make it compute the same."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from nas.bench.base import Shape
from nas.blocks.base import Block

Build = Callable[[Block, Shape], nn.Module]
"""Makes a rival from our block (for its widths) and the shape."""


@dataclass(frozen=True)
class Peer:
    """A public module that computes what one of our blocks computes.

    Attributes:
        block: the file of ``conf/block`` that it is compared with, such as ``attention/mha``.
        name: where it is found; the package's name comes first.
        build: makes it: a module of one tensor, with norm and residual.
        ours: settings of our block that make both compute the same.
    """

    block: str
    name: str
    build: Build
    ours: Mapping[str, Any] = field(default_factory=dict)


class PreNorm(nn.Module):
    """``data + mix(norm(data))``, as our blocks have it, around a public mixer.

    Args:
        mixer: from [B, T, D] to [B, T, D].
        hidden_size: D.
        call: how the mixer is called; by default with the data alone.
    """

    def __init__(
        self, mixer: nn.Module, hidden_size: int, call: Callable[[Any, Tensor], Any] | None = None
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size, eps=1e-6)
        self.mixer = mixer
        self.call = call or with_data_alone

    def forward(self, data: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]; of several results, the first is taken."""
        mixed = self.call(self.mixer, self.norm(data))
        out: Tensor = data + (mixed[0] if isinstance(mixed, tuple) else mixed)
        return out


class Called(nn.Module):
    """A public module that has norm and residual itself, called with one tensor.

    Args:
        module: the public one.
        call: how it is called; by default with the data alone.
    """

    def __init__(self, module: nn.Module, call: Callable[[Any, Tensor], Any] | None = None) -> None:
        super().__init__()
        self.module = module
        self.call = call or with_data_alone

    def forward(self, data: Tensor) -> Any:
        """Map [B, T, D] to [B, T, D]; of several results, the first is taken."""
        out = self.call(self.module, data)
        return out[0] if isinstance(out, tuple) else out


def with_data_alone(module: nn.Module, data: Tensor) -> Any:
    """Call a module with one tensor."""
    return module(data)


def public(path: str) -> Any:
    """Return ``package.module.Class``, imported without warnings, which are not about what is measured.

    Raises:
        ImportError: the package is not installed.
        AttributeError: its version has no such class.
    """
    module, _, name = path.rpartition(".")
    # transformers would say on every call that kernels for GPUs are not installed.
    logging.getLogger("transformers").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(importlib.import_module(module), name)
