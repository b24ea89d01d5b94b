"""Which keys a token sees where tokens are cut into blocks: as T x T counts, and as lists of blocks."""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Blocks(NamedTuple):
    """T tokens cut into N blocks; the last may be short."""

    tokens: int
    size: int

    @property
    def number(self) -> int:
        """How many blocks there are: N."""
        return -(-self.tokens // self.size)

    @property
    def at_ends(self) -> int:
        """How many tokens the first and the last block have."""
        return self.size + self.tokens - (self.number - 1) * self.size

    def ends(self, device: torch.device) -> Tensor:
        """Return the places of the first and the last block's tokens."""
        places = torch.arange(self.tokens, device=device)
        return torch.cat([places[: self.size], places[(self.number - 1) * self.size :]])

    def between(self, device: torch.device) -> Tensor:
        """Return the places of the others' tokens, [N - 2, b]."""
        return torch.arange(self.size, (self.number - 1) * self.size, device=device).view(-1, self.size)

    def cut(self, x: Tensor) -> Tensor:
        """Cut [B, H, T, K] into [B, H, N, b, K]; the last block is filled up with 0."""
        padded = F.pad(x, (0, 0, 0, -self.tokens % self.size))
        return padded.view(*x.shape[:2], self.number, self.size, x.shape[-1])


def times_seen(table: Tensor, tokens: int, size: int, *, twice: bool) -> Tensor:
    """Return how often each query lists each key, [H, T, T]: booleans unless ``twice``.

    The first and the last block see and are seen by all, the others by their neighbours and by
    those that drew them.

    Args:
        table: the blocks that each block drew, [H, rows, R]; see `nas.blocks.attention.random_blocks`.
        tokens: T.
        size: b.
        twice: count a block that was drawn but is seen anyway once more.
    """
    block = torch.arange(tokens, device=table.device) // size
    last = block[-1]
    at_end = (block == 0) | (block == last)
    near = (block[:, None] - block).abs() <= 1
    always = (near | at_end[:, None] | at_end)[None]
    by_chance = [each[..., None] == block for each in _drawn(table, block, last, twice=twice).unbind(-1)]
    if not twice:
        return functools.reduce(torch.logical_or, by_chance, always.expand(len(table), -1, -1))
    draws = sum(each.long() for each in by_chance)
    return always + draws * (~at_end[:, None]).long()


def block_lists(table: Tensor, blocks: Blocks, *, twice: bool) -> tuple[Tensor, Tensor]:
    """Return the blocks that blocks 1 to N - 2 list, [H, N - 2, 5 + R], and which entries to hide.

    Args:
        table: see `times_seen`, as is ``twice``.
        blocks: of the sequence; at least 3.
        twice: do not hide drawn blocks that are listed already.
    """
    end = torch.tensor(blocks.number - 1, device=table.device)
    own = torch.arange(1, blocks.number - 1, device=table.device)
    fixed = torch.stack([torch.zeros_like(own), own - 1, own, own + 1, end.expand_as(own)], dim=-1)
    never = torch.zeros_like(own, dtype=torch.bool)
    hidden = torch.stack([never, own == 1, never, own == end - 1, never], dim=-1)
    drawn = _drawn(table, own, end, twice=twice)
    seen = torch.zeros_like(drawn, dtype=torch.bool)
    if not twice:
        again = (drawn[..., :, None] == drawn[..., None, :]).tril(-1).any(dim=-1)
        seen = again | (drawn == 0) | (drawn == end) | ((drawn - own[:, None]).abs() <= 1)
    heads = len(table)
    lists = torch.cat([fixed.expand(heads, -1, -1), drawn], dim=-1)
    return lists, torch.cat([hidden.expand(heads, -1, -1), seen], dim=-1)


def gather_blocks(cut: Tensor, lists: Tensor) -> Tensor:
    """Return each list's keys, [B, H * rows, n * b, K].

    Shapes: blocks [B, H, N, b, K], lists [H, rows, n].
    """
    batch, heads, number, size, width = cut.shape
    offsets = torch.arange(heads, device=lists.device)[:, None, None] * number
    taken = cut.reshape(batch, heads * number, size * width).index_select(1, (lists + offsets).flatten())
    return taken.view(batch, -1, lists.shape[-1] * size, width)


def look_up(bias: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return a bias at the places of queries and keys, [B or 1, H or 1, ..., b or 1, S].

    Args:
        bias: [B or 1, H or 1, T or 1, T]; an axis of 1 stays 1.
        rows: places of queries, [..., b].
        columns: places of keys, [H, ..., S].
    """
    heads = torch.arange(len(columns) if bias.shape[1] > 1 else 1, device=bias.device)
    heads = heads.view(-1, *(1 for _ in columns.shape))
    rows = rows[..., None] if bias.shape[2] > 1 else torch.zeros_like(rows[..., :1, None])
    return bias[:, heads, rows[None], columns[..., None, :]]


def _drawn(table: Tensor, own: Tensor, end: Tensor, *, twice: bool) -> Tensor:
    """Return what blocks ``own`` [N] drew, [H, N, R]: rows repeat, blocks beyond the end are folded back.

    ``end`` is the last block. With ``twice``, it may be drawn as well.
    """
    drawn = table[:, (own - 1) % table.shape[1]]
    folded = (drawn - 1) % (end - 1).clamp(min=1) + 1
    return torch.where(drawn < (end + 1 if twice else end), drawn, folded)
