"""What a study has found so far, as rows and values that are to be made small."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.search.changes import Changes
from nas.search.rungs.reports import last_reported
from nas.search.samplers.encoding import Array, Encoding
from nas.search.samplers.presence import Presence
from nas.search.samplers.structure import Structure
from nas.search.screen import SCREENED

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

    def repeats(self, row: Array) -> bool:
        """Return whether a row [N] was asked for, or would end up as one that was.

        A program that asks for its parameters one after another does the same again when the same
        values come: so a row that has all the values of an earlier one is that one, whatever else it
        holds for parameters that were not asked for.
        """
        if key(row) in self.asked:
            return True
        return any(
            bool(np.any(np.all(np.isnan(rows) | (np.abs(rows - row) < 1e-9), axis=1)))
            for rows in self._partial
        )

    @functools.cached_property
    def _partial(self) -> list[Array]:
        """The rows that lack some parameter, of finished and of running trials."""
        return [rows[np.isnan(rows).any(axis=1)] for rows in (self.rows, self.pending)]

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


_HUGE = 1e100
"""What is larger counts as this: its square is still a number."""


class _Rested(NamedTuple):
    """A paused trial, encoded."""

    row: Array
    key: bytes
    values: list[float]


class Reader:
    """Reads a study again and again, each trial when it has changed.

    Args:
        structure: what is known of the space before any trial.
    """

    def __init__(self, structure: Structure | None = None) -> None:
        self._structure = structure
        self._study = ""
        self._begin()

    def propose(self, number: int, row: Array) -> None:
        """Note the row [N] proposed for a trial: it runs, even before its parameters are stored."""
        self._proposed[number] = row

    def encoding(self, study: optuna.Study, without: int) -> Encoding:
        """Return how configurations are encoded; trial ``without`` is left out."""
        if study.study_name != self._study:  # one sampler, another study
            self._study = study.study_name
            self._begin()
        self._update(study, without)
        return self._encoding

    def read(self, study: optuna.Study, without: int) -> tuple[Encoding, History]:
        """Return how configurations are encoded, and what is known; trial ``without`` is left out."""
        self.encoding(study, without)
        running = [t for t in self._changes.going.values() if t.state is TrialState.RUNNING]
        known = (t for t in running if t.number != without and (t.params or t.number in self._proposed))
        pending = self._stacked(map(self._running_row, known))
        resting = [self._rested(trial, len(study.directions)) for trial in self._changes.paused.values()]
        asked = self._asked | {key(row) for row in pending} | {rested.key for rested in resting}
        told = np.array([rested.values for rested in resting])
        there = [values for values in (self._objectives, told) if len(values)]
        objectives = np.concatenate(there) if there else self._objectives
        broken = np.concatenate([self._broken, np.zeros(len(resting))])
        rows = np.concatenate([self._rows, self._stacked(rested.row for rested in resting)])
        return self._encoding, History(rows, _filled(objectives, broken, study.directions), pending, asked)

    def _rested(self, trial: FrozenTrial, count: int) -> _Rested:
        known = self._rows_at_rest.get(trial.number)
        if known is None:
            row = self._encoding.encode(trial.params)
            known = self._rows_at_rest[trial.number] = _Rested(row, key(row), _objectives(trial, count))
        return known

    def _stacked(self, rows: Iterable[Array]) -> Array:
        found = [*rows]
        return np.array(found).reshape(len(found), len(self._encoding.names))

    def _begin(self) -> None:
        told = self._structure.distributions if self._structure else {}
        self._space: dict[str, BaseDistribution] = dict(told)
        self._finished: dict[int, FrozenTrial] = {}
        self._screened: dict[int, FrozenTrial] = {}
        self._proposed: dict[int, Array] = {}
        self._changes = Changes()
        self._objectives, self._broken = np.zeros((0, 1)), np.zeros(0)
        self._encode_anew()

    def _encode_anew(self) -> None:
        space = {k: d for k, d in self._space.items() if not d.single()}
        self._encoding = Encoding(space, self._structure)
        self._rows, self._asked = np.zeros((0, len(self._encoding.names))), set[bytes]()
        self._proposed.clear()
        self._rows_at_rest: dict[int, _Rested] = {}
        self._add_rows(self._finished.values())
        self._asked.update(key(self._encoding.encode(t.params)) for t in self._screened.values())

    def _running_row(self, trial: FrozenTrial) -> Array:
        proposed, presence = self._proposed.get(trial.number), self._encoding.presence
        if proposed is None:
            return self._encoding.encode(trial.params)
        return proposed if presence is None else presence.settle(proposed[None], proposed[None])[0]

    def _add_rows(self, trials: Iterable[FrozenTrial]) -> None:
        rows = [self._encoding.encode(trial.params) for trial in trials]
        if rows:
            self._rows = np.concatenate([self._rows, np.array(rows)])
            self._asked.update(key(row) for row in rows)
            self._learn_presence(np.array(rows))

    def _learn_presence(self, rows: Array) -> None:
        """Learn when parameters are asked for, unless a structure tells it or what is known fits new rows."""
        known = self._encoding.presence
        if self._structure is None and (np.isnan(rows).any() if known is None else known.contradicted(rows)):
            self._encoding.presence = Presence(self._rows, self._encoding.is_categorical)

    def _is_screened(self, trial: FrozenTrial) -> bool:
        """Return whether a trial was not trained because of a score: it is asked for, and has no value."""
        if SCREENED not in trial.user_attrs:
            return False
        if trial.number not in self._screened:
            self._screened[trial.number] = trial
            self._asked.add(key(self._encoding.encode(trial.params)))
        return True

    def _sorted(self, trials: list[FrozenTrial]) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
        """Return those of the trials that have changed that ended with something to tell, and that run."""
        ended, running = [], []
        for trial in trials:
            self._rows_at_rest.pop(trial.number, None)
            if self._is_screened(trial):
                continue
            if trial.state in _TELLING:
                ended.append(trial)
            elif trial.state is TrialState.RUNNING:
                running.append(trial)
        return [trial for trial in ended if trial.params], running

    def _update(self, study: optuna.Study, without: int) -> None:
        """Take in what has changed since."""
        trials = study.get_trials(deepcopy=False)
        if len(trials) < self._changes.seen:  # another study of this name
            self._begin()
        fresh, running = self._sorted(self._changes.take(trials))
        for trial in fresh:
            self._finished[trial.number] = trial
            self._proposed.pop(trial.number, None)
        if fresh:
            count = len(study.directions)
            told = np.array([_objectives(trial, count) for trial in fresh])
            broken = [sum(max(v, 0.0) for v in trial.constraints.values()) for trial in fresh]
            self._objectives = np.concatenate([self._objectives, told]) if len(self._objectives) else told
            self._broken = np.concatenate([self._broken, broken])
        running = [trial for trial in running if trial.number != without]
        seen = {name: d for trial in [*fresh, *running] for name, d in trial.distributions.items()}
        if any(self._space.get(name) != d for name, d in seen.items()):
            self._space.update(seen)  # a new parameter or choice: every row has another form
            self._encode_anew()
        else:
            self._add_rows(fresh)


def key(row: Array) -> bytes:
    """Return what is equal for equal configurations."""
    return np.round(row, 9).tobytes()


def _filled(values: Array, broken: Array, directions: Iterable[StudyDirection]) -> Array:
    """Return objectives [n, M] that are to be made small, with failures and broken constraints made bad."""
    signs = np.array([-1.0 if d is StudyDirection.MAXIMIZE else 1.0 for d in directions])
    values = np.where(np.isfinite(values), np.clip(values * signs, -_HUGE, _HUGE), np.nan)
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
    """Return a trial's values; a pruned or paused one's last, a failed one's NaN."""
    if trial.state is TrialState.COMPLETE and trial.values:
        return list(trial.values)
    told = None if trial.state is TrialState.FAIL else last_reported(trial)
    return [float("nan")] * count if told is None else list(told)


def _standard(values: Array) -> Array:
    """Return values with mean 0 and deviation 1, cut off far above the middle half."""
    if len(values) == 0:
        return values
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    cut = np.minimum(values, middle + 3 * max(high - low, 1e-12)) if high > low else values
    deviation = cut.std()
    standard: Array = (cut - cut.mean()) / deviation if deviation > 0 else cut * 0
    return standard
