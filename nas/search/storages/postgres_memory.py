"""Optuna's storage on PostgreSQL with the trials in memory: the server is asked what others have changed.

By itself Optuna reads every trial that has not ended at every look. A study looks more than a dozen times
for each trial, and hundreds may be paused.
"""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.search.storages.postgres_changes import Changes
from nas.search.storages.postgres_leases import OURS

FOREIGN_SECONDS = 1.0
"""Who drives a study with Optuna alone announces nothing: it is looked for so often."""


class _Trials(dict[int, FrozenTrial]):
    """The trials of a study by id, in the order of their numbers."""

    loaded = False
    looked_for_foreign = 0.0


class PostgresMemory(BaseStorage):
    """Remembers the trials of studies: those that nobody has changed are the same objects again.

    All writes go to the server at once, and are announced there to the memories of other processes. All
    but two are on disk then: parameters are, before a worker has them, with the end of the turn in which
    they were proposed; and a server that dies may lose the last second of what trials report at rungs.

    Args:
        rdb: Optuna's storage on PostgreSQL.
    """

    def __init__(self, rdb: optuna.storages.RDBStorage) -> None:
        self._inner = optuna.storages.get_storage(rdb)
        self._changes = Changes(rdb.engine)
        self._studies: dict[int, _Trials] = {}
        self._stale: set[int] = set()
        self._study_of: dict[int, int] = {}
        self._inside: set[int] = set()  # what the inner storage has seen: it refuses parameters of others
        self._lock = threading.RLock()

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials of a study, by number."""
        with self._lock:
            trials = self._studies.setdefault(study_id, _Trials())
            self._look(study_id, trials)
            found = [trial for trial in trials.values() if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial."""
        with self._lock:
            known, study_id = self._known(trial_id), self._study_of.get(trial_id)
            if study_id in self._studies and (known is None or not known.state.is_finished()):
                self._look(study_id, self._studies[study_id])
                known = self._known(trial_id)
        return self._inner.get_trial(trial_id) if known is None else known

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Make a trial."""
        with self._lock:
            trial_id = self._inner.create_new_trial(study_id, template_trial)
            self._inside.add(trial_id)
            self._study_of[trial_id] = study_id
            return trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """Set a parameter."""
        with self._writing(trial_id, durable=False):
            self._let_in(trial_id)
            self._inner.set_trial_param(trial_id, param_name, param_value_internal, distribution)
            value = distribution.to_external_repr(param_value_internal)
            self._note(trial_id, "params", param_name, value)
            self._note(trial_id, "distributions", param_name, distribution)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Let a trial run, or end it."""
        with self._writing(trial_id):
            self._stale.add(trial_id)  # the time comes from Optuna
            return self._inner.set_trial_state_values(trial_id, state, values)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Set the value at a step."""
        with self._writing(trial_id, durable=False):
            self._inner.set_trial_intermediate_value(trial_id, step, intermediate_value)
            self._note(trial_id, "intermediate_values", step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of the user's."""
        with self._writing(trial_id):
            self._inner.set_trial_user_attr(trial_id, key, value)
            self._note(trial_id, "user_attrs", key, json.loads(json.dumps(value)))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of Optuna's."""
        with self._writing(trial_id):
            self._inner.set_trial_system_attr(trial_id, key, value)
            self._note(trial_id, "system_attrs", key, json.loads(json.dumps(value)))

    def _look(self, study_id: int, trials: _Trials) -> None:
        """Read what has changed since the last look."""
        news = self._changes.since(study_id, max(trials, default=-1))
        if news.unknown:
            for others in self._studies.values():
                others.loaded = False
        if not trials.loaded:
            self._load(study_id, trials)
            return
        self._stale |= news.changed
        self._study_of.update(dict.fromkeys(news.new, study_id))
        self._read(news.new, trials)
        for study in self._studies.values():
            self._read(sorted(self._stale & study.keys()), study)
        self._stale.clear()
        self._look_for_foreign(trials)

    def _load(self, study_id: int, trials: _Trials) -> None:
        """Read all trials but those that are known to have ended."""
        for trial in self._inner.get_all_trials(study_id, deepcopy=False):
            known = trials.get(trial._trial_id)
            if known is None or not known.state.is_finished():
                trials[trial._trial_id] = trial
        self._inside.update(trials)
        self._study_of.update(dict.fromkeys(trials, study_id))
        trials.loaded = True

    def _read(self, ids: Iterable[int], trials: _Trials) -> None:
        for trial_id in ids:
            trials[trial_id] = self._inner.get_trial(trial_id)

    def _look_for_foreign(self, trials: _Trials) -> None:
        """Read now and then what nobody announces: trials of the user's, and ours that a user has ended."""
        if time.monotonic() < trials.looked_for_foreign + FOREIGN_SECONDS:
            return
        unfinished = [trial for trial in trials.values() if not trial.state.is_finished()]
        foreign = [trial._trial_id for trial in unfinished if OURS not in trial.user_attrs]
        ended = self._changes.ended([trial._trial_id for trial in unfinished])
        self._read({*foreign, *ended}, trials)
        trials.looked_for_foreign = time.monotonic()

    @contextmanager
    def _writing(self, trial_id: int, durable: bool = True) -> Iterator[None]:
        """Announce what is written to a trial; after a failure nobody knows what is on the server."""
        with self._lock:
            try:
                with self._changes.writing(trial_id, durable):
                    yield
            except BaseException:
                self._stale.add(trial_id)
                raise

    def _note(self, trial_id: int, kind: str, key: Any, value: Any) -> None:
        """Remember what was written, in another object than before."""
        known = self._known(trial_id)
        if known is not None:
            noted = copy.copy(known)
            setattr(noted, kind, {**getattr(known, kind), key: value})
            self._studies[self._study_of[trial_id]][trial_id] = noted

    def _let_in(self, trial_id: int) -> None:
        study_id = self._study_of.get(trial_id)
        if study_id in self._studies and trial_id not in self._inside:  # another process has made it
            self._load(study_id, self._studies[study_id])

    def _known(self, trial_id: int) -> FrozenTrial | None:
        trials = self._studies.get(self._study_of.get(trial_id, -1))
        return None if trials is None else trials.get(trial_id)

    # What follows is about whole studies, and rare.

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Make a study."""
        return self._inner.create_new_study(directions, study_name)

    def delete_study(self, study_id: int) -> None:
        """Remove a study with its trials."""
        self._studies.pop(study_id, None)
        self._inner.delete_study(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute of the user's."""
        self._inner.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute of Optuna's."""
        self._inner.set_study_system_attr(study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return a study's id."""
        return self._inner.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return a study's name."""
        return self._inner.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return a direction for each objective."""
        return self._inner.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the user's attributes."""
        return self._inner.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return Optuna's attributes."""
        return self._inner.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[Any]:
        """Return all studies."""
        return self._inner.get_all_studies()
