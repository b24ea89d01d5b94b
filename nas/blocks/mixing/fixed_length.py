"""What mixers with weights for every place share: the length, and the leading part of a weight."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.errors import InputError, check_positive


def known_length(block: str, max_seq_length: int | None) -> int:
    """Return the length, which the scaffold or the caller must have said.

    Raises:
        InputError: it is missing or not positive.
    """
    if max_seq_length is None:
        raise InputError(
            f"{block}: max_seq_length=None must be an integer greater than 0: "
            "the block has weights for every place"
        )
    check_positive(max_seq_length=max_seq_length)
    return max_seq_length


def check_length(block: str, tokens: int, max_seq_length: int) -> None:
    """Raise `InputError` if there are more tokens than places; an exported graph does not ask."""
    if not torch.compiler.is_exporting() and tokens > max_seq_length:
        raise InputError(f"{block}: data has T={tokens} tokens: at most max_seq_length={max_seq_length}")


def leading(weight: Tensor, dim: int, tokens: int) -> Tensor:
    """Return the part of a weight that belongs to the first ``tokens`` places along ``dim``.

    A slice, or in a graph exported for any length a selection: a slice would fix the longest.
    """
    if torch.compiler.is_exporting():
        return weight.index_select(dim, torch.arange(tokens, device=weight.device))
    return weight.narrow(dim, 0, tokens)
