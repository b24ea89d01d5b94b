"""Reads a study again and again, and looks only at what has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from nas.search.changes import Changes
from nas.search.rungs.reports import reported
from nas.search.samplers.curves import END, Curves
from nas.search.samplers.encoding import Array, Encoding
from nas.search.samplers.every_trial import every_trial
from nas.search.samplers.history import History, filled, key
from nas.search.samplers.ledger import Ledger
from nas.search.samplers.presence import Presence
from nas.search.samplers.structure import Structure
from nas.search.screen import SCREENED

_TELLING = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class Reader:
    """What a sampler knows of a study: how its configurations are encoded, and their history.

    Args:
        structure: what is known of the space before any trial.
    """

    def __init__(self, structure: Structure | None = None) -> None:
        self._structure = structure
        self._study = ""
        self._begin(1)

    def promise(self, number: int, params: Mapping[str, Any]) -> None:
        """Note what a trial will ask for and be given: it runs, even before its parameters are stored."""
        self._promised.setdefault(number, {}).update(params)

    def like(self, study: optuna.Study, trial: FrozenTrial, name: str) -> list[Any]:
        """Return what others have of a parameter that have all that a trial has so far."""
        others = (self._params(other) for other in every_trial(study) if other.number != trial.number)
        mine = trial.params.items()
        return [other[name] for other in others if name in other and mine <= other.items()]

    def _params(self, trial: FrozenTrial) -> dict[str, Any]:
        return {**self._promised.get(trial.number, {}), **trial.params}

    def encoding(self, study: optuna.Study, without: int) -> Encoding:
        """Return how configurations are encoded; trial ``without`` is left out."""
        if study.study_name != self._study:  # one sampler, another study
            self._study = study.study_name
            self._begin(len(study.directions))
        self._update(study, without)
        return self._encoding

    def read(self, study: optuna.Study, without: int) -> tuple[Encoding, History]:
        """Return how configurations are encoded, and what is known; trial ``without`` is left out."""
        self.encoding(study, without)
        running = [t for t in self._changes.going.values() if t.state is TrialState.RUNNING]
        known = (t for t in running if t.number != without and (t.params or t.number in self._promised))
        pending = self._stacked(map(self._running_row, known))
        rows, objectives, broken = self._ledger.all()
        objectives = self._curves.carried(self._ledger.numbers, objectives)
        return self._encoding, History(
            rows, filled(objectives, broken, study.directions), pending, self._asked
        )

    def _stacked(self, rows: Iterable[Array]) -> Array:
        found = [*rows]
        return np.array(found).reshape(len(found), len(self._encoding.names))

    def _begin(self, objectives: int) -> None:
        told = self._structure.distributions if self._structure else {}
        self._space: dict[str, BaseDistribution] = dict(told)
        self._promised: dict[int, dict[str, Any]] = {}
        self._changes = Changes()
        self._known: dict[int, FrozenTrial] = {}
        self._objectives = objectives
        self._curves = Curves(objectives)
        self._encode_anew()

    def _encode_anew(self) -> None:
        space = {k: d for k, d in self._space.items() if not d.single()}
        self._encoding = Encoding(space, self._structure)
        self._ledger = Ledger(len(self._encoding.names), self._objectives)
        self._asked = set[bytes]()
        self._take(list(self._known.values()))

    def _running_row(self, trial: FrozenTrial) -> Array:
        row, presence = self._encoding.encode(self._params(trial)), self._encoding.presence
        if presence is not None and trial.number in self._promised:
            (row,) = presence.settle(row[None], row[None])
        return row

    def _update(self, study: optuna.Study, without: int) -> None:
        """Take in what has changed since."""
        trials = every_trial(study)
        if len(trials) < self._changes.seen:  # another study of this name
            self._begin(len(study.directions))
        changed = self._changes.take(trials)
        known = [trial for trial in changed if self._tells(trial)]
        for trial in changed:
            self._known.pop(trial.number, None)
            self._ledger.drop(trial.number)
            self._curves.drop(trial.number)
        self._known.update((trial.number, trial) for trial in known)
        running = [t for t in changed if t.state is TrialState.RUNNING and t.number != without]
        told = [trial for trial in [*known, *running] if SCREENED not in trial.user_attrs]
        seen = {name: d for trial in told for name, d in trial.distributions.items()}
        if any(self._space.get(name) != d for name, d in seen.items()):
            self._space.update(seen)  # a new parameter or choice: every row has another form
            self._encode_anew()
        else:
            self._take(known)

    def _tells(self, trial: FrozenTrial) -> bool:
        """Return whether there is anything to be known of a trial but that it runs."""
        if SCREENED in trial.user_attrs or trial.number in self._changes.paused:
            return True
        return trial.state in _TELLING and bool(trial.params)

    def _take(self, trials: Sequence[FrozenTrial]) -> None:
        """Note what became of trials; of one that a score kept from training, only that it was asked for."""
        rows = [self._encoding.encode(trial.params) for trial in trials]
        for trial, row in zip(trials, rows, strict=True):
            self._asked.add(key(row))
            if SCREENED in trial.user_attrs:
                continue
            broken = sum(max(value, 0.0) for value in trial.constraints.values())
            told = _told(trial)
            values = told[max(told)] if told else [float("nan")] * self._objectives
            self._ledger.put(trial.number, row, values, broken)
            self._curves.put(trial.number, told)
            if trial.state.is_finished():
                self._promised.pop(trial.number, None)
        if rows:
            self._learn_presence(np.array(rows))

    def _learn_presence(self, rows: Array) -> None:
        """Learn when parameters are asked for, unless a structure tells it or what is known fits new rows."""
        known = self._encoding.presence
        if self._structure is None and (np.isnan(rows).any() if known is None else known.contradicted(rows)):
            self._encoding.presence = Presence(self._ledger.all()[0], self._encoding.is_categorical)


def _told(trial: FrozenTrial) -> dict[int, Sequence[float]]:
    """Return a trial's values by step, those of its end at `END`; of a failed one, nothing."""
    if trial.state is TrialState.FAIL:
        return {}
    told: dict[int, Sequence[float]] = {**reported(trial)}
    return {**told, END: trial.values} if trial.state is TrialState.COMPLETE and trial.values else told
