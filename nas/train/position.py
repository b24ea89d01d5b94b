"""Where a run is: all that a checkpoint needs beside tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from nas.errors import DivergedError

EXPLODED = 3.0
"""A loss this many times the first step's has exploded: no schedule brings it back in time."""


@dataclass
class Position:
    """The progress of one run, equal in all of its processes.

    Attributes:
        architecture_hash: of the encoder that is trained.
        step: optimizer steps taken.
        train_seconds: spent on them.
        total_seconds: of the whole run, interruptions left out.
        evaluations: how many shares of ``trainer.evaluate_at`` are behind.
        first_loss: of the first step.
        window: the losses since the last row.
        auxiliary: the same of each auxiliary loss.
        metrics: the last evaluation.
        best_loss: the lowest validation loss.
        pruned: whether the run was stopped at a rung.
        scaler: the state of the gradients' scale, for float16.
    """

    architecture_hash: str
    step: int = 0
    train_seconds: float = 0.0
    total_seconds: float = 0.0
    evaluations: int = 0
    first_loss: float = math.nan
    window: list[float] = field(default_factory=list)
    auxiliary: dict[str, list[float]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    best_loss: float = math.inf
    pruned: bool = False
    scaler: dict[str, Any] = field(default_factory=dict)

    def keep(self, step: int, loss: float, auxiliary: Mapping[str, float]) -> None:
        """Keep the losses of a step for the next row.

        Raises:
            DivergedError: the loss is NaN, infinite or exploded.
        """
        if math.isnan(self.first_loss):
            self.first_loss = loss
        if not math.isfinite(loss) or loss > EXPLODED * self.first_loss:
            raise DivergedError(f"training loss {loss:.4g} at step {step} (first {self.first_loss:.4g})")
        self.window.append(loss)
        for name, value in auxiliary.items():
            self.auxiliary.setdefault(name, []).append(value)

    def take_means(self) -> dict[str, float]:
        """Return the means of the losses since the last row, and begin anew."""
        auxiliary = {f"train/aux/{name}": fmean(values) for name, values in self.auxiliary.items()}
        means = {"train/loss": fmean(self.window), **auxiliary}
        self.window.clear()
        self.auxiliary.clear()
        return means
