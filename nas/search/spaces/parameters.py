"""The two kinds of parameters: one of several values, and a number in a range."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from nas.search.spaces.conditions import Condition
from nas.search.spaces.literals import Scalar, plain


@dataclass(frozen=True)
class Choice:
    """One of several values; lists are carried as JSON text, because Optuna takes only scalars.

    Attributes:
        name: stable, whatever else the space holds.
        choices: the values.
        weights: how likely each is before anything is known; None: all alike.
        condition: when it is asked for; None: always.
    """

    name: str
    choices: tuple[Scalar, ...]
    weights: tuple[float, ...] | None = None
    condition: Condition | None = None

    def suggest(self, trial: optuna.trial.BaseTrial) -> Scalar:
        """Return the trial's value."""
        value: Scalar = trial.suggest_categorical(self.name, self.choices)
        return value

    def draw(self, stream: random.Random) -> Scalar:
        """Return a random value."""
        return stream.choices(self.choices, self.weights)[0]

    def size(self) -> float:
        """Return the number of values."""
        return len(self.choices)

    def distribution(self) -> BaseDistribution:
        """Return the parameter as Optuna's."""
        return CategoricalDistribution(self.choices)

    def probes(self) -> Sequence[Scalar]:
        """Return the values that are built before the first trial."""
        return self.choices

    def __str__(self) -> str:
        values = [plain(choice) for choice in self.choices]
        if self.weights is None:
            return f"one of {values}"
        return f"one of {values}, weights {[round(w, 4) for w in self.weights]}"


@dataclass(frozen=True)
class Range:
    """A number between two others, both included."""

    name: str
    low: float
    high: float
    log: bool
    step: float | None
    integer: bool
    condition: Condition | None = None

    def suggest(self, trial: optuna.trial.BaseTrial) -> float:
        """Return the trial's value."""
        if self.integer:
            step = int(self.step or 1)
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log, step=step)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log, step=self.step)

    def draw(self, stream: random.Random) -> float:
        """Return a random value; with ``log``, uniform in its logarithm."""
        if self.log:
            # Whole numbers as Optuna draws them: each is as likely as what is rounded to it.
            wide = 0.5 if self.integer else 0.0
            value = math.exp(stream.uniform(math.log(self.low - wide), math.log(self.high + wide)))
            value = round(value) if self.integer else value
            return min(max(value, self.low), self.high)
        if not self.integer and self.step is None:
            return stream.uniform(self.low, self.high)
        value = self.low + (self.step or 1) * stream.randrange(int(self.size()))
        return int(value) if self.integer else min(value, self.high)

    def size(self) -> float:
        """Return the number of values; infinite for a continuous one."""
        step = self.step or (1 if self.integer else 0)
        return math.floor((self.high - self.low) / step + 1e-9) + 1 if step else math.inf

    def distribution(self) -> BaseDistribution:
        """Return the parameter as Optuna's."""
        if self.integer:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def probes(self) -> Sequence[Scalar]:
        """Return the values that are built before the first trial."""
        return (self.low, self.high)

    def __str__(self) -> str:
        kind = "whole number" if self.integer else "number"
        extra = ", log" if self.log else f", step {self.step:g}" if self.step else ""
        return f"{kind} from {self.low:g} to {self.high:g}{extra}"


Parameter = Choice | Range
