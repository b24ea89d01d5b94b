"""The end of an encoder at chosen tokens alone: what no loss reads is neither computed nor differentiated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def pick(data: Tensor, chosen: Tensor) -> Tensor:
    """Return the chosen tokens of ``data`` [B, T, D]: [B, m, D], ``chosen`` [B, m] their places."""
    batch, tokens = data.shape[:2]
    starts = torch.arange(0, batch * tokens, tokens, device=chosen.device)
    rows = data.flatten(0, 1).index_select(0, (chosen + starts[:, None]).flatten())
    return rows.view(batch, -1, *data.shape[2:])


def is_tokenwise(block: nn.Module) -> bool:
    """Return whether a block maps each token by itself, wherever it stands."""
    return getattr(block, "tokenwise", False) is True and not getattr(block, "adds_places", False)


def can_choose(block: nn.Module, attention_mask: Any) -> bool:
    """Return whether a block has an `at`: all tokens in, chosen ones out."""
    asked: Any = getattr(block, "can_choose", None)
    return asked is not None and bool(asked(attention_mask))


def count_whole(blocks: Sequence[nn.Module], masks: Sequence[Any]) -> int:
    """Return how many blocks have to run for all tokens, if the last one's output is read at some.

    Those after them map tokens one by one, but for the first, which may be attention: it reads every
    key, and only the chosen queries.
    """
    whole = len(blocks)
    while whole and is_tokenwise(blocks[whole - 1]):
        whole -= 1
    return whole - (whole > 0 and can_choose(blocks[whole - 1], masks[whole - 1]))


def run_chosen(blocks: Sequence[nn.Module], masks: Sequence[Any], data: Tensor, chosen: Tensor) -> Tensor:
    """Run the blocks after the whole ones on ``data`` [B, T, D]; return chosen tokens [B, m, D]."""
    if blocks and not is_tokenwise(blocks[0]):
        data = blocks[0].at(data, masks[0], chosen)  # type: ignore[operator]
        blocks = blocks[1:]
    else:
        data = pick(data, chosen)
    for block in blocks:
        data = block(data, None)
    return data


def hides_keys_alone(attention_mask: Any) -> bool:
    """Return whether a mask is the same for every query: None, [B, T], or one row expanded to [B, T, T]."""
    if attention_mask is None:
        return True
    if not isinstance(attention_mask, Tensor):
        return False
    return attention_mask.dim() == 2 or attention_mask.stride(-2) == 0
