"""The selective scan over tokens from both ends, in chunks of products."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.blocks.mixing.scan import carry, chunk_size, from_chunks, to_chunks, turn_back

CHUNK = 64
"""Tokens in a chunk; measured on a CPU, with 32 a tenth slower."""


def selective_scan(values: Tensor, step: Tensor, log_decay: Tensor, write: Tensor, read: Tensor) -> Tensor:
    """Return ``state_t' read_t`` with ``state_t = exp(log_decay_t) state + step_t write_t values_t'``.

    The first direction reads the tokens from the first on, the second, if there is one, from the
    last; their results are added. Mamba-2's chunked form (Dao and Gu 2024, arXiv 2405.21060):
    tokens of one chunk meet in products, and a chunk hands on its state. Differences: nothing is
    turned around for the second direction, which decays the other way; inside a chunk both are one
    product.

    Shapes: values [B, T, H, P], step and log_decay [B, T, G, H] and write and read [B, T, G, N] for
    G directions; returns [B, T, H, P].
    """
    tokens, heads = values.shape[1:3]
    size = chunk_size(tokens, CHUNK)
    values = to_chunks(values, size)  # [B, n, C, H, P]
    write, read = (to_chunks(x, size).transpose(2, 3) for x in (write, read))  # [B, n, G, C, N]
    step, log_decay = (to_chunks(x, size).permute(0, 1, 3, 4, 2) for x in (step, log_decay))
    since = since_start(log_decay)  # [B, n, G, H, C]
    total = log_decay.sum(dim=-1, keepdim=True)

    weights = (read @ write.transpose(-2, -1))[:, :, :, None] * decay_between(since) * step[..., None, :]
    mixed = (weights.sum(dim=2) @ values.transpose(2, 3)).transpose(2, 3)

    left = ((total - since).exp() * step).transpose(-2, -1)  # of each token when its chunk ends
    states = write.transpose(-2, -1) @ (values[:, :, None] * left[..., None]).flatten(4)
    states = torch.unflatten(states, -1, (heads, -1))  # [B, n, G, N, H, P]
    decay = total.exp()[:, :, :, None]  # [B, n, G, 1, H, 1]
    before = turn_back(carry(turn_back(decay), turn_back(states)))
    carried = torch.unflatten(read @ before.flatten(4), -1, (heads, -1))
    carried = carried * since.exp().transpose(-2, -1)[..., None]
    return from_chunks(mixed + carried.sum(dim=2), tokens)


def since_start(log_decay: Tensor) -> Tensor:
    """Return the sums of [B, n, G, H, C] up to each token: the first direction's from the left."""
    forward = log_decay.cumsum(dim=-1)
    backward = forward[..., -1:] - forward + log_decay
    return torch.cat([forward[:, :, :1], backward[:, :, 1:]], dim=2)


def decay_between(since: Tensor) -> Tensor:
    """Return what is left at t of what came in at s, [..., G, H, C, C]: 0 if the direction reads s later."""
    directions, _, size = since.shape[-3:]
    later = torch.ones(size, size, dtype=torch.bool, device=since.device).triu(1)
    later = torch.stack([later, later.T][:directions])[:, None]
    return (since[..., :, None] - since[..., None, :]).masked_fill(later, -torch.inf).exp()


def selective_scan_flops(seq_length: int, directions: int, features: int, state_size: int) -> float:
    """Return the operations per token of `selective_scan`'s products, for H P = ``features``.

    The states' sums over chunks, element by element, are left out: torch's counter does not see them.
    """
    size = chunk_size(seq_length, CHUNK)
    filled = -(-seq_length // size) * size / seq_length
    states = 2 * directions * state_size * features
    return 2.0 * filled * (size * (directions * state_size + features) + states)
