"""A position scheme: what an attention block does to queries, keys and scores so that it sees order."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PositionScheme(nn.Module):
    """Leaves order unseen (``none``); each other scheme overrides one of the three methods."""

    adds: bool = False
    """Whether `add` changes anything, so that queries and keys read something else than values."""
    turns: bool = False
    """Whether `turn` changes anything, so that a query's place must be known when it is made."""
    biases: bool = False
    """Whether `bias` adds anything to the scores."""

    def add(self, data: Tensor) -> Tensor:
        """Return what queries, or keys, are made of: [B, T, D] from [B, T, D]."""
        return data

    def turn(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Return queries [B, H, T, K] and keys [B, G, S, K] as their product shall see them."""
        return query, key

    def by_distance(self, distance: Tensor) -> Tensor | None:
        """Return what a score gains, [H, N], if its key stands ``distance`` [N] behind its query."""
        return None

    def bias(self, queries: int, keys: int, device: torch.device, *, first_key: int = 0) -> Tensor | None:
        """Return what is added to the scores, [1, H, T, S], or None.

        Args:
            queries: T; they stand at 0 to T - 1.
            keys: S.
            device: of the result.
            first_key: where the first key stands.
        """
        after = torch.arange(keys, device=device)
        before = torch.arange(-queries, 0, device=device)
        gained = self.by_distance(first_key + torch.cat([after, before]))
        return None if gained is None else _staggered(gained, queries)[None, ..., :keys]


def _staggered(row: Tensor, rows: int) -> Tensor:
    """Repeat [H, N] so that each row starts one later and wraps round: [H, rows, N - 1].

    Element (t, s) is number s - t of the row. It is one copy, cut anew: its gradient is a sum
    over rows, where indexing would scatter, and it exports for any length, as windows would not.
    """
    heads, size = row.shape
    repeated = row[:, None].expand(-1, rows, -1).reshape(heads, rows * size)
    return repeated[:, : rows * (size - 1)].view(heads, rows, size - 1)
