"""Timing of rivals in turns, so that whatever else the machine does slows all of them alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nas.errors import InputError
from nas.seeding import generator

WARM_UP = 2
"""Calls of each rival that are not timed: first calls allocate memory and choose kernels."""
LEAST_ROUNDS = 5
_RESAMPLES = 1000

Call = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Timing:
    """One rival's seconds, round by round."""

    seconds: NDArray[np.float64]

    def milliseconds(self) -> dict[str, float]:
        """Return the median and both quartiles."""
        low, middle, high = np.quantile(self.seconds, [0.25, 0.5, 0.75]) * 1e3
        return {"low": float(low), "median": float(middle), "high": float(high)}


@dataclass(frozen=True)
class Ratio:
    """How many times the rival's time is of ours: above 1, ours is faster.

    Attributes:
        value: the median over rounds.
        low: the lower end of its 95 % bootstrap interval.
        high: the upper end.
    """

    value: float
    low: float
    high: float


def check_device(device: str) -> None:
    """Raise `InputError` if a bench is to run on a device that is not there."""
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("bench.device='cuda': this machine has no CUDA device")


def choose_clock(device: torch.device, threads: int) -> Clock:
    """Return the clock for work on ``device``: of the processor if one thread does all of it.

    That one stands still while other processes have the core, so that a busy machine says little
    less than a quiet one.
    """
    return time.process_time if device.type == "cpu" and threads == 1 else time.perf_counter


def interleave(
    calls: Mapping[str, Call], seconds: float, seed: int, clock: Clock = time.perf_counter
) -> dict[str, Timing]:
    """Time every call once in each round, in an order drawn anew, for about ``seconds`` in all.

    Args:
        calls: by name; each does the same work at every call.
        seconds: rounds are added until so much time has passed; there are at least five.
        seed: of the orders.
        clock: see `choose_clock`.
    """
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    order = generator(seed, "order")
    names = list(calls)
    rounds: list[list[float]] = []
    with _without_collection():
        end = clock() + seconds
        while len(rounds) < LEAST_ROUNDS or clock() < end:
            taken = {names[i]: _time(calls[names[i]], clock) for i in order.permutation(len(names))}
            rounds.append([taken[name] for name in names])
    table = np.asarray(rounds)
    return {name: Timing(table[:, index]) for index, name in enumerate(names)}


def ratio(rival: Timing, ours: Timing, seed: int) -> Ratio:
    """Return the rival's time as a multiple of ours, compared within each round."""
    paired = rival.seconds / ours.seconds
    drawn = generator(seed, "bootstrap").choice(paired, size=(_RESAMPLES, len(paired)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return Ratio(float(np.median(paired)), float(low), float(high))


def _time(call: Call, clock: Clock) -> float:
    _wait()
    start = clock()
    call()
    _wait()
    return clock() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@contextmanager
def _without_collection() -> Iterator[None]:
    """Hold back the garbage collector, which would hit one rival and not the other."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
