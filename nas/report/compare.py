"""How much better the winner is, and at what size: against the median, its like in size, and the largest."""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from nas.report.found import Study, Trial

SIMILAR = 0.10
"""Trials whose parameters are within this part of the winner's are of similar size."""


@dataclass(frozen=True)
class Against:
    """The winner beside one other trial; a positive ``gain`` says that the winner is better."""

    name: str
    trial: Trial
    value: float
    gain: float
    part: float | None
    parameters: float | None
    flops: float | None


@dataclass(frozen=True)
class Comparison:
    """The winner beside the other trials that were trained to their end.

    Attributes:
        winner: the best measured trial.
        count: measured trials, the winner included.
        median: of their values.
        spread: their interquartile range; None when fewer than four.
        gain: by how much the winner is better than the median.
        part: the gain as a part of the median; None when that is zero.
        against: the rows of the table: median, similar size, largest, smallest.
        similar_count: other measured trials of similar size.
        size_correlation: Spearman's rank correlation of parameters with how good the value is.
    """

    winner: Trial
    count: int
    median: float
    spread: float | None
    gain: float
    part: float | None
    against: tuple[Against, ...]
    similar_count: int
    size_correlation: float | None

    @property
    def in_spreads(self) -> float | None:
        """The gain in interquartile ranges."""
        return self.gain / self.spread if self.spread else None

    def find(self, name: str) -> Against | None:
        """Return the row of this name."""
        return next((row for row in self.against if row.name == name), None)


def compare(study: Study) -> Comparison | None:
    """Compare the winner with the other trials; None while no trial has a value."""
    trials = study.measured
    if not trials:
        return None
    winner, others = trials[0], trials[1:]
    values = [_value(trial) for trial in trials]
    middle = statistics.median(values)
    gain = _gain(study, winner, middle)
    similar = [trial for trial in others if _similar(trial, winner)]
    return Comparison(
        winner=winner,
        count=len(trials),
        median=middle,
        spread=_spread(values),
        gain=gain,
        part=gain / abs(middle) if middle else None,
        against=tuple(_rows(study, winner, others, similar, middle)),
        similar_count=len(similar),
        size_correlation=_size_correlation(study, trials),
    )


def _rows(
    study: Study, winner: Trial, others: Sequence[Trial], similar: Sequence[Trial], middle: float
) -> list[Against]:
    if not others:
        return []
    sized = [trial for trial in (winner, *others) if trial.parameters is not None]
    median_trial = min(others, key=lambda trial: (abs(_value(trial) - middle), trial.number))
    rows = [_against(study, "median trial", winner, median_trial)]
    if similar:
        rows.append(_against(study, "best of similar size", winner, similar[0]))
    if len(similar) > 1:
        rows.append(_against(study, "median of similar size", winner, similar[len(similar) // 2]))
    if sized:
        largest = max(sized, key=lambda trial: (trial.parameters or 0, -trial.number))
        smallest = min(sized, key=lambda trial: (trial.parameters or 0, trial.number))
        rows.append(_against(study, "largest", winner, largest))
        rows.append(_against(study, "smallest", winner, smallest))
    return rows


def _against(study: Study, name: str, winner: Trial, other: Trial) -> Against:
    value = _value(other)
    gain = _gain(study, winner, value)
    return Against(
        name=name,
        trial=other,
        value=value,
        gain=gain,
        part=gain / abs(value) if value else None,
        parameters=_ratio(winner.parameters, other.parameters),
        flops=_ratio(winner.flops, other.flops),
    )


def _value(trial: Trial) -> float:
    assert trial.value is not None
    return trial.value


def _gain(study: Study, winner: Trial, value: float) -> float:
    return value - _value(winner) if study.minimize else _value(winner) - value


def _similar(trial: Trial, winner: Trial) -> bool:
    if trial.parameters is None or winner.parameters is None:
        return False
    return abs(trial.parameters - winner.parameters) <= SIMILAR * winner.parameters


def _ratio(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None


def _spread(values: Sequence[float]) -> float | None:
    if len(values) < 4:
        return None
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def _size_correlation(study: Study, trials: Sequence[Trial]) -> float | None:
    sized = [trial for trial in trials if trial.parameters is not None]
    sizes = _ranks([trial.parameters or 0.0 for trial in sized])
    goodness = _ranks([-_value(trial) if study.minimize else _value(trial) for trial in sized])
    if len(sized) < 8 or len(set(sizes)) < 2 or len(set(goodness)) < 2:
        return None
    return statistics.correlation(sizes, goodness)


def _ranks(values: Sequence[float]) -> list[float]:
    """Return ranks from 1; equal values share the middle of theirs."""
    ordered = sorted(values)
    return [(bisect_left(ordered, v) + bisect_right(ordered, v) + 1) / 2 for v in values]
