"""Learning-rate schedules: a factor of the peak rate, given the share of the budget that is spent."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from nas.configured import Configured
from nas.errors import InputError


class Schedule(Configured, ABC):
    """Maps progress in [0, 1] to a factor in [0, 1]; works for budgets in steps, tokens and seconds."""

    @abstractmethod
    def factor(self, progress: float) -> float:
        """Return the factor at ``progress``."""


class Cosine(Schedule):
    """Linear warm-up, then half a cosine down to ``final`` (Loshchilov & Hutter 2017, arXiv 1608.03983).

    Args:
        warmup: the share of the budget that the warm-up takes.
        final: the factor at the end.
    """

    def __init__(self, warmup: float = 0.1, final: float = 0.0) -> None:
        _check_shares(warmup=warmup, final=final)
        self.warmup = warmup
        self.final = final

    def factor(self, progress: float) -> float:
        """Return the factor at ``progress``."""
        if progress < self.warmup:
            return _rise(progress, self.warmup)
        rest = (progress - self.warmup) / (1 - self.warmup)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(rest, 1.0)))


class OneCycle(Schedule):
    """Linear up to the peak, linear down to zero: the budget-bound schedule of Cramming (arXiv 2212.14034).

    Args:
        peak: the share of the budget at which the peak is reached.
    """

    def __init__(self, peak: float = 0.5) -> None:
        _check_shares(peak=peak)
        self.peak = peak

    def factor(self, progress: float) -> float:
        """Return the factor at ``progress``."""
        if progress < self.peak:
            return _rise(progress, self.peak)
        return max(0.0, (1 - progress) / (1 - self.peak))


class WarmupStableDecay(Schedule):
    """Warm-up, a plateau, and a 1-sqrt decay (Hägele et al. 2024, arXiv 2405.18392; ModernBERT).

    Args:
        warmup: the share of the budget that the warm-up takes.
        decay: the share that the decay takes.
    """

    def __init__(self, warmup: float = 0.1, decay: float = 0.2) -> None:
        _check_shares(warmup=warmup, decay=decay)
        if warmup + decay > 1:
            raise InputError(f"schedule.warmup={warmup!r} and schedule.decay={decay!r} exceed 1 together")
        self.warmup = warmup
        self.decay = decay

    def factor(self, progress: float) -> float:
        """Return the factor at ``progress``."""
        if progress < self.warmup:
            return _rise(progress, self.warmup)
        start = 1 - self.decay
        if progress <= start or not self.decay:
            return 1.0
        return max(0.0, 1 - math.sqrt(min(1.0, (progress - start) / self.decay)))


class Constant(Schedule):
    """Linear warm-up, then the peak rate to the end.

    Args:
        warmup: the share of the budget that the warm-up takes.
    """

    def __init__(self, warmup: float = 0.1) -> None:
        _check_shares(warmup=warmup)
        self.warmup = warmup

    def factor(self, progress: float) -> float:
        """Return the factor at ``progress``."""
        return _rise(progress, self.warmup) if progress < self.warmup else 1.0


def _rise(progress: float, end: float) -> float:
    # The first step must move: it gets a hundredth of the peak rather than nothing.
    return max(0.01, progress / end)


def _check_shares(**shares: float) -> None:
    wrong = [
        f"schedule.{k}={v!r} must be at least 0 and below 1" for k, v in shares.items() if not 0 <= v < 1
    ]
    if wrong:
        raise InputError(*wrong)
