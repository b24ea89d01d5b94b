"""The gated delta rule over tokens, in chunks of products."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from nas.blocks.mixing.scan import (
    decay_between,
    doublings,
    from_chunks,
    full_precision,
    shift,
    to_chunks,
    widen,
)

CHUNK = 32
"""Tokens in a chunk, at most; the inverse inside a chunk wants a power of 2."""


def delta_rule(query: Tensor, key: Tensor, value: Tensor, beta: Tensor, log_decay: Tensor | None) -> Tensor:
    """Return ``state_t' query_t`` of a state [K, V] that maps keys to values.

    ``state_t = a state_(t-1) + beta key (value - a state_(t-1)' key)'`` with a = exp(log_decay_t), or
    1 if that is None: what the key held is corrected towards the value, with beta 1 all the way.
    Half precision is computed in float32; on a GPU flash-linear-attention's kernel, if it is
    installed, takes its place there.

    Shapes: query and key [B, T, H, K], value [B, T, H, V], beta and log_decay [B, T, H]; returns
    [B, T, H, V] in the query's dtype.
    """
    if use_fused(query):
        zeros = torch.zeros_like(beta) if log_decay is None else log_decay
        out: Tensor = fused_kernel()(query, key, value, zeros, beta.to(query.dtype), scale=1.0)[0]
        return out
    with full_precision(query.device):
        wide = (widen(query), widen(key), widen(value), widen(beta))
        return chunked_delta_rule(*wide, log_decay).to(query.dtype)


def use_fused(query: Tensor) -> bool:
    """Whether flash-linear-attention takes over: eager, on a GPU, in half precision, and installed.

    It can not be compiled into a graph, and it takes fewer tokens than heads for a mistake.
    """
    half = query.dtype in (torch.bfloat16, torch.float16)
    if torch.compiler.is_compiling() or not (query.is_cuda and half):
        return False
    return query.shape[1] >= query.shape[2] and find_spec("fla") is not None


@functools.cache
def fused_kernel() -> Callable[..., Any]:
    """Import the kernel of flash-linear-attention (the extra ``fla``) when it is first wanted."""
    kernel: Callable[..., Any] = import_module("fla.ops.gated_delta_rule").chunk_gated_delta_rule
    return kernel


def chunked_delta_rule(
    query: Tensor, key: Tensor, value: Tensor, beta: Tensor, log_decay: Tensor | None
) -> Tensor:
    """Compute `delta_rule` in the WY form (Yang et al. 2024, arXiv 2406.06484; gated: 2412.06464).

    In a chunk that starts with the state S, the corrections are ``U - W S``: one triangular inverse
    gives U and W for all its tokens at once, and only S goes from chunk to chunk.
    """
    tokens = query.shape[1]
    size = pow2_chunk_size(tokens)
    query, key, value = (to_chunks(x, size).transpose(2, 3).contiguous() for x in (query, key, value))
    beta = to_chunks(beta, size).transpose(2, 3)  # [B, n, H, size]; the others [B, n, H, size, K]
    products, queried = key @ key.transpose(-2, -1), query @ key.transpose(-2, -1)
    since = left = end = None
    if log_decay is None:
        queried = queried.tril()
    else:
        cumulative = to_chunks(log_decay, size).transpose(2, 3).cumsum(dim=-1)
        between = decay_between(cumulative)
        products, queried = products * between, queried * between
        since, end = cumulative.exp()[..., None], cumulative[..., -1:, None].exp()
        left = (cumulative[..., -1:] - cumulative).exp()[..., None]

    solve = unit_lower_inverse((beta[..., None] * products).tril(-1)) * beta[..., None, :]
    added = solve @ value  # U
    if query.shape[1] == 1 and not torch.compiler.is_exporting():
        return from_chunks((queried @ added).transpose(2, 3), tokens)
    known = solve @ (key if since is None else key * since)  # W
    written = key if left is None else key * left
    states = _states(added, known, written, end)
    out = (query if since is None else query * since) @ states + queried @ (added - known @ states)
    return from_chunks(out.transpose(2, 3), tokens)


def _states(added: Tensor, known: Tensor, written: Tensor, end: Tensor | None) -> Tensor:
    """Return the state before each chunk, [B, n, H, K, V].

    Shapes: added [B, n, H, size, V], known and written [B, n, H, size, K], end [B, n, H, 1, 1].
    """
    written = written.transpose(-2, -1)
    if torch.compiler.is_exporting():
        return _states_by_doubling(written @ added, written @ known, end)
    state = added.new_zeros(*added.shape[:1], added.shape[2], written.shape[-2], added.shape[-1])
    states = [state]
    ends = [None] * added.shape[1] if end is None else end.unbind(1)
    chunks = zip(added.unbind(1), known.unbind(1), written.unbind(1), ends, strict=True)
    for added_now, known_now, written_now, end_now in list(chunks)[:-1]:
        new = written_now @ (added_now - known_now @ state)
        state = new + (state if end_now is None else end_now * state)
        states.append(state)
    return torch.stack(states, dim=1)


def _states_by_doubling(added: Tensor, removed: Tensor, end: Tensor | None) -> Tensor:
    """Compute `_states` in a fixed number of steps, for a graph of any length.

    A chunk maps the state S to ``(end - removed) S + added``; neighbouring maps are composed.
    """
    kept = torch.eye(removed.shape[-1], dtype=removed.dtype, device=removed.device)
    kept = (kept if end is None else end * kept) - removed
    for step in range(doublings(added.shape[1])):
        added = added + kept @ shift(added, 2**step)
        kept = kept @ shift(kept, 2**step)
    return shift(added, 1)


def pow2_chunk_size(tokens: int) -> int:
    """Return the smallest power of 2 that holds all tokens, up to `CHUNK`."""
    if torch.compiler.is_exporting():
        return CHUNK
    size = 1
    while size < min(tokens, CHUNK):
        size *= 2
    return size


def unit_lower_inverse(lower: Tensor) -> Tensor:
    """Return (I + lower)^-1 for strictly lower triangular matrices [..., C, C], C a power of 2.

    Blocks on the diagonal grow by doubling: [[A, 0], [L, B]]^-1 = [[A^-1, 0], [-B^-1 L A^-1, B^-1]].
    Products only, so that it runs in batches on every device; as stable as substitution.
    """
    size = lower.shape[-1]
    inverse = lower.new_ones(*lower.shape[:-2], size, 1, 1)
    block = 1
    while block < size:
        first, second = torch.unflatten(inverse, -3, (-1, 2)).unbind(-3)
        pairs = torch.unflatten(torch.unflatten(lower, -1, (-1, 2 * block)), -3, (-1, 2 * block))
        corner = pairs.diagonal(dim1=-4, dim2=-2).movedim(-1, -3)[..., block:, :block]
        corner = -corner if block == 1 else -(second @ corner @ first)
        top = torch.cat([first, torch.zeros_like(first)], dim=-1)
        inverse = torch.cat([top, torch.cat([corner, second], dim=-1)], dim=-2)
        block *= 2
    return inverse.squeeze(-3)


def delta_rule_flops(seq_length: int, head_size: int) -> float:
    """Return the floating-point operations per token of `chunked_delta_rule` for one head."""
    size = pow2_chunk_size(seq_length)
    chunks = -(-seq_length // size)
    inverse = 2 * (size * size - 4) / 3 if size > 1 else 0.0  # of blocks of 2 and more
    per_token = 2.0 * 4 * size * head_size + inverse
    if chunks > 1:
        per_token += 2.0 * (size * head_size + 2 * head_size**2)
        per_token += 4.0 * head_size**2 * (chunks - 1) / chunks
    return per_token * chunks * size / seq_length
