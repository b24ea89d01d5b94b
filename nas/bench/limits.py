"""What a device could do at most, what a training step asks of it, and the memory that a step takes."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

from nas.bench.measure import Clock, choose_clock
from nas.bench.peers.models import ModelShape

_CPU_SIZES = ((4096, 256, 1024), (1024, 1024, 1024))
_GPU_SIZES = ((8192, 8192, 8192),)
_TIMES = 12


def matmul_limit(device: torch.device, dtype: torch.dtype) -> float:
    """Return the most floating-point operations per second of one matrix product, at sizes that suit."""
    return max(_product(*sizes, device, dtype) for sizes in _sizes(device))


def training_flops(shape: ModelShape, asked: int) -> float:
    """Return the operations of forward and backward that the model asks for, hidden tokens projected alone.

    The same number for everyone: what a trainer leaves out (the last layer where nobody reads it) or adds
    (the projection of every position) does not change it.

    Args:
        shape: of the model and batch.
        asked: M, the tokens that the loss reads.
    """
    d, tokens = shape.hidden_size, shape.batch * shape.tokens
    products = 6.0 * tokens * shape.layers * (4 * d * d + 2 * d * shape.inner)
    attention = 12.0 * tokens * shape.tokens * d * shape.layers
    return products + attention + 6.0 * asked * d * shape.vocab


def peak_memory(step: Callable[[], object], device: torch.device) -> float:
    """Return the MiB that a step holds at most, beside what was there before it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        torch.cuda.synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # it would tell of its own start
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, acc_events=True
    ) as profile:
        step()
    events = profile.profiler.kineto_results.events()
    sizes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    held = highest = 0
    for _, size in sizes:
        held += size
        highest = max(highest, held)
    return highest / 2**20


def _sizes(device: torch.device) -> tuple[tuple[int, int, int], ...]:
    return _GPU_SIZES if device.type == "cuda" else _CPU_SIZES


def _product(rows: int, inner: int, columns: int, device: torch.device, dtype: torch.dtype) -> float:
    left = torch.randn(rows, inner, device=device, dtype=dtype)
    right = torch.randn(columns, inner, device=device, dtype=dtype)
    clock = choose_clock(device, torch.get_num_threads())
    seconds = []
    for _ in range(_TIMES):
        start = _now(device, clock)
        torch.nn.functional.linear(left, right)
        seconds.append(_now(device, clock) - start)
    return 2.0 * rows * inner * columns / min(seconds)


def _now(device: torch.device, clock: Clock) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock()
