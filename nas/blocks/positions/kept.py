"""Tables that depend on sizes alone, made once: 1 to 2 % of a step of a ModernBERT of two layers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

KEPT = 32
"""The tables used last stay: two of a long text's 32,768 tokens have 8 MiB each at K 64 in float32."""
_TABLES: OrderedDict[tuple[Any, ...], tuple[Tensor, ...]] = OrderedDict()


def kept(make: Callable[..., tuple[Tensor, ...]], like: Tensor, *sizes: float) -> tuple[Tensor, ...]:
    """Return ``make(*sizes, device, dtype)`` of a tensor's device and dtype, made at most once for each.

    A graph that is compiled or exported makes its own.

    Args:
        make: a function of nothing but its arguments; nobody may write into what it returns.
        like: has the device and the dtype.
        *sizes: lengths and other numbers.
    """
    if torch.compiler.is_compiling() or type(like) is not Tensor:
        return make(*sizes, like.device, like.dtype)
    key = (make, *sizes, like.device, like.dtype)
    if key in _TABLES:
        _TABLES.move_to_end(key)
        return _TABLES[key]
    with torch.inference_mode(False):  # a tensor of inference could not serve training afterwards
        _TABLES[key] = make(*sizes, like.device, like.dtype)
    if len(_TABLES) > KEPT:
        _TABLES.popitem(last=False)
    return _TABLES[key]


def is_kept(tensor: Tensor) -> bool:
    """Return whether a tensor is one of the tables, or a view of one: it takes no memory of its own."""
    storage = tensor.untyped_storage()._cdata
    return any(table.untyped_storage()._cdata == storage for tables in _TABLES.values() for table in tables)
