"""Recurrences over tokens without a loop over all of them: chunks, prefix sums and two directions."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

STEPS = 16
"""How many tokens a chunk of `linear_scan` holds: its inner loop's length."""
EXPORTED_DOUBLINGS = 9
"""An exported graph is for any length: its prefix sums cover 2 ** 9 chunks, 8,192 tokens or more."""


def widen(data: Tensor) -> Tensor:
    """Return ``data`` in float32 if it is in half precision: states add up over many tokens."""
    return data.to(torch.promote_types(data.dtype, torch.float32))


def full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Keep autocast away from a recurrence, whose products would otherwise be in half precision."""
    if not torch.amp.is_autocast_available(device.type):  # the meta device has none
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def chunk_size(tokens: int, largest: int) -> int:
    """Return the size of equal chunks, at most ``largest``, that leaves the fewest tokens to fill.

    In a compiled graph, whose length may be a symbol, the last chunk is filled instead.
    """
    if torch.compiler.is_exporting():
        return largest
    if torch.compiler.is_compiling():
        return min(tokens, largest)
    return max(1, -(-tokens // max(1, -(-tokens // largest))))


def to_chunks(data: Tensor, size: int) -> Tensor:
    """Cut [B, T, ...] into [B, N, size, ...]; the last chunk is filled with zeros.

    A graph exported for any length selects places, and has two chunks at least: sizes that
    it can not prove to differ from 1, or to divide each other, would fix its length.
    """
    around = (0, 0) * (data.dim() - 2)
    if torch.compiler.is_exporting():
        chunks = torch.sym_max(2, (data.shape[1] + size - 1) // size)  # type: ignore[no-untyped-call]
        first = size * torch.arange(chunks, device=data.device)
        places = first[:, None] + torch.arange(size, device=data.device)
        return F.pad(data, (*around, 0, 2 * size))[:, places]
    return torch.unflatten(F.pad(data, (*around, 0, -data.shape[1] % size)), 1, (-1, size))


def from_chunks(chunks: Tensor, tokens: int) -> Tensor:
    """Join [B, N, size, ...] into [B, T, ...]."""
    joined = chunks.flatten(1, 2)
    if torch.compiler.is_exporting():
        return joined.index_select(1, torch.arange(tokens, device=chunks.device))
    return joined[:, :tokens]


def linear_scan(decay: Tensor, value: Tensor) -> Tensor:
    """Return every state of ``state = decay * state + value``, from 0.

    A loop over the places in a chunk runs for all chunks at once; what the chunks before left
    comes on top. It needs no logarithms, so that a decay of 0 is as good as any other.

    Shapes: all [B, T, F].
    """
    size = chunk_size(value.shape[1], STEPS)
    decays, values = to_chunks(decay, size).unbind(2), to_chunks(value, size).unbind(2)
    states, products = [values[0]], [decays[0]]
    for decay_now, value_now in zip(decays[1:], values[1:], strict=True):
        states.append(torch.addcmul(value_now, decay_now, states[-1]))
        products.append(decay_now * products[-1])
    inside = torch.stack(states, dim=2)
    if torch.compiler.is_exporting() or inside.shape[1] > 1:
        before = carry(products[-1], states[-1])
        inside = torch.addcmul(inside, torch.stack(products, dim=2), before[:, :, None])
    return from_chunks(inside, value.shape[1])


def carry(decay: Tensor, value: Tensor) -> Tensor:
    """Return the state before each chunk: what `linear_scan` holds, one place later.

    Prefix sums by doubling (Hillis and Steele 1986): log2(N) steps.

    Args:
        decay: what a chunk leaves of the state before it, [B, N, ...], broadcastable to ``value``.
        value: what a chunk adds to it, [B, N, ...].
    """
    for step in range(doublings(value.shape[1])):
        value = value + decay * shift(value, 2**step)
        decay = decay * shift(decay, 2**step)
    return shift(value, 1)


def doublings(chunks: int) -> int:
    """Return how many doublings reach from the first chunk to the last."""
    return EXPORTED_DOUBLINGS if torch.compiler.is_exporting() else math.ceil(math.log2(max(1, chunks)))


def shift(data: Tensor, places: int) -> Tensor:
    """Move [B, N, ...] so many places later along N; zeros come in."""
    return F.pad(data, (0, 0) * (data.dim() - 2) + (places, 0))[:, : data.shape[1]]


def both_ways(data: Tensor, causal: bool) -> Tensor:
    """Return [B, T, G, ...] from [B, T, ...]: the tokens as they are and, unless causal, reversed."""
    return data[:, :, None] if causal else torch.stack([data, data.flip(1)], dim=2)


def turn_back(data: Tensor) -> Tensor:
    """Bring the second of two directions into the tokens' order: [B, T, G, ...] keeps its shape."""
    if data.shape[2] == 1:
        return data
    return torch.stack([data[:, :, 0], data[:, :, 1].flip(1)], dim=2)


def decay_between(cumulative: Tensor) -> Tensor:
    """Return what is left at t of what came in at s: exp(c_t - c_s) for s <= t, else 0.

    Shapes: the cumulative logarithms c [..., T]; returns [..., T, T].
    """
    tokens = cumulative.shape[-1]
    later = torch.ones(tokens, tokens, dtype=torch.bool, device=cumulative.device).triu(1)
    difference = cumulative[..., :, None] - cumulative[..., None, :]
    return difference.masked_fill(later, -torch.inf).exp()
