"""What a study has found so far, as rows and values that are to be made small."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.search.samplers.encoding import Array, Encoding

_TELLING = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class History:
    """Finished and running trials.

    Attributes:
        rows: of finished trials, [n, N], in the order in which they were read.
        values: their objectives [n, M], each the smaller the better; a trial that failed or broke a
            constraint is as bad as the worst, or worse.
        pending: rows of trials that run now, [p, N].
        asked: the keys of all of them.
    """

    rows: Array
    values: Array
    pending: Array
    asked: Set[bytes]

    def scores(self, rng: np.random.Generator) -> Array:
        """Return one number for each finished trial [n], of mean 0 and deviation 1; small is good.

        Several objectives are weighed at random (ParEGO: Knowles 2006), so that one proposal after
        another moves along the whole front. What lies far above the rest is cut off, so that one
        disaster does not hide the differences between good trials.
        """
        scaled = np.stack([_standard(column) for column in self.values.T], axis=1)
        if scaled.shape[1] == 1:
            return scaled[:, 0]
        weighed = scaled * rng.dirichlet(np.ones(scaled.shape[1]))
        return _standard(weighed.max(axis=1) + 0.05 * weighed.sum(axis=1))


class Reader:
    """Reads a study again and again, each finished trial once."""

    def __init__(self) -> None:
        self._study = ""
        self._begin()

    def read(self, study: optuna.Study, without: int) -> tuple[Encoding, History]:
        """Return how configurations are encoded, and what is known; trial ``without`` is left out."""
        if study.study_name != self._study:  # one sampler, another study
            self._study = study.study_name
            self._begin()
        running = self._update(study, without)
        width = len(self._encoding.names)
        pending = np.array([self._encoding.encode(trial.params) for trial in running]).reshape(
            len(running), width
        )
        asked = self._asked | {key(row) for row in pending}
        values = _filled(self._objectives, self._broken, study.directions)
        return self._encoding, History(self._rows, values, pending, asked)

    def _begin(self) -> None:
        self._space: dict[str, BaseDistribution] = {}
        self._finished: dict[int, FrozenTrial] = {}
        self._objectives, self._broken = np.zeros((0, 1)), np.zeros(0)
        self._encode_anew()

    def _encode_anew(self) -> None:
        self._encoding = Encoding({k: d for k, d in self._space.items() if not d.single()})
        self._rows, self._asked = np.zeros((0, len(self._encoding.names))), set[bytes]()
        self._add_rows(self._finished.values())

    def _add_rows(self, trials: Iterable[FrozenTrial]) -> None:
        rows = [self._encoding.encode(trial.params) for trial in trials]
        if rows:
            self._rows = np.concatenate([self._rows, np.array(rows)])
            self._asked.update(key(row) for row in rows)

    def _update(self, study: optuna.Study, without: int) -> list[FrozenTrial]:
        """Take in what has finished since, and return what runs."""
        trials = study.get_trials(deepcopy=False)
        fresh = [t for t in trials if t.number not in self._finished and t.state in _TELLING and t.params]
        running = [t for t in trials if t.state is TrialState.RUNNING and t.params and t.number != without]
        self._finished.update((t.number, t) for t in fresh)
        if fresh:
            count = len(study.directions)
            told = np.array([_objectives(trial, count) for trial in fresh])
            broken = [sum(max(v, 0.0) for v in trial.constraints.values()) for trial in fresh]
            self._objectives = np.concatenate([self._objectives, told]) if len(self._objectives) else told
            self._broken = np.concatenate([self._broken, broken])
        seen = {name: d for trial in [*fresh, *running] for name, d in trial.distributions.items()}
        if any(self._space.get(name) != d for name, d in seen.items()):
            self._space.update(seen)  # a new parameter or choice: every row has another form
            self._encode_anew()
        else:
            self._add_rows(fresh)
        return running


def key(row: Array) -> bytes:
    """Return what is equal for equal configurations."""
    return np.round(row, 9).tobytes()


def _filled(values: Array, broken: Array, directions: Iterable[StudyDirection]) -> Array:
    """Return objectives [n, M] that are to be made small, with failures and broken constraints made bad."""
    signs = np.array([-1.0 if d is StudyDirection.MAXIMIZE else 1.0 for d in directions])
    values = np.where(np.isfinite(values), values * signs, np.nan)
    most = broken.max() if len(broken) else 0.0
    for column in values.T:
        known = column[~np.isnan(column) & (broken <= 0)]
        worst = known.max() if len(known) else 0.0
        column[np.isnan(column)] = worst
        spread = float(known.std()) if len(known) > 1 else 1.0
        if most > 0:  # the nearer to what is allowed, the less bad
            column[broken > 0] = worst + spread * (1 + broken[broken > 0] / most)
    return values


def _objectives(trial: FrozenTrial, count: int) -> list[float]:
    """Return a trial's values; a pruned one's last, a failed one's NaN."""
    if trial.state is TrialState.COMPLETE and trial.values:
        return list(trial.values)
    if trial.state is TrialState.PRUNED and count == 1 and trial.intermediate_values:
        return [trial.intermediate_values[max(trial.intermediate_values)]]
    return [float("nan")] * count


def _standard(values: Array) -> Array:
    """Return values with mean 0 and deviation 1, cut off far above the middle half."""
    if len(values) == 0:
        return values
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    cut = np.minimum(values, middle + 3 * max(high - low, 1e-12)) if high > low else values
    deviation = cut.std()
    standard: Array = (cut - cut.mean()) / deviation if deviation > 0 else cut * 0
    return standard
