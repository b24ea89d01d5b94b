"""Optuna's storage on PostgreSQL with the trials in memory: the server is asked what others have changed.

By itself Optuna reads every trial that has not ended at every look. A study looks more than a dozen times
for each trial, and hundreds may be paused.
"""

from __future__ import annotations

import copy
import math
import threading
import time
import uuid
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from nas.search.storages.known_trials import KnownTrials, as_read
from nas.search.storages.postgres_changes import Changes
from nas.search.storages.postgres_outbox import Outbox
from nas.search.storages.postgres_writes import OURS, Writes
from nas.search.storages.whole_studies import WholeStudies

FOREIGN_SECONDS = 1.0
"""Who drives a study with Optuna alone announces nothing: it is looked for so often."""
MANY = 10
"""More new trials than that are read together."""
LOOK_SECONDS = 0.05
"""What others have changed may be known so late, but for the moments in which it decides: see `look_anew`."""


class PostgresMemory(WholeStudies):
    """Remembers the trials of studies: those that nobody has changed are the same objects again.

    All that is written goes to the server at once, and is announced there to the memories of other
    processes; but parameters, which Optuna sets one by one, go with the next call. All but two are on
    disk then: parameters are, before a worker has them, with the end of the turn in which they were
    proposed; and a server that dies may lose the last second of what trials report at rungs.

    Args:
        rdb: Optuna's storage on PostgreSQL.
    """

    def __init__(self, rdb: optuna.storages.RDBStorage) -> None:
        self._writer = writer = uuid.uuid4().hex
        super().__init__(optuna.storages.get_storage(rdb))
        self._rdb = rdb
        self._changes, self._writes = Changes(rdb.engine, writer), Writes(rdb.engine, writer)
        self._studies: dict[int, KnownTrials] = {}
        self._made: dict[int, FrozenTrial] = {}  # here, and not seen among the others yet
        self._stale: set[int] = set()
        self._study_of: dict[int, int] = {}
        self._outbox = Outbox(self._writes, self._doubt)
        self._making: tuple[FrozenTrial, int] | None = None  # and the last id that was known
        self._lock = threading.RLock()

    def get_all_trials(  # type: ignore[override]  # what does the work of a list, and copies less
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> Sequence[FrozenTrial]:
        """Return the trials of a study, by number.

        Raises:
            KeyError: there is no such study, or not any more.
        """
        with self._lock:
            trials = self._studies.setdefault(study_id, KnownTrials())
            self._look(study_id, trials)
            found = trials.all() if states is None else trials.of(states)
        return copy.deepcopy(list(found)) if deepcopy else found

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial."""
        with self._lock:
            known, study_id = self._known(trial_id), self._study_of.get(trial_id)
            if study_id in self._studies and (known is None or not known.state.is_finished()):
                self._look(study_id, self._studies[study_id])
                known = self._known(trial_id)
            self.send()
        return self._inner.get_trial(trial_id) if known is None else known

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Make a trial."""
        template = template_trial or optuna.trial.create_trial(state=TrialState.RUNNING)
        with self._lock:
            self.look_anew()
            if template.params or template.intermediate_values or template.state.is_finished():
                return self._rdb.create_new_trial(study_id, template)
            lost = self._made_before(study_id, template)
            if lost is not None:
                return lost
            self._making = template, self._studies.get(study_id, KnownTrials()).last
            trial_id, number = self._writes.trial(study_id, template)
            self._making = None
            made = copy.copy(template)
            made.number, made._trial_id = number, trial_id
            made.user_attrs, made.system_attrs = map(as_read, (made.user_attrs, made.system_attrs))
            self._made[trial_id], self._study_of[trial_id] = made, study_id
            return trial_id

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """Set a parameter, on the server with the next call."""
        with self._lock:
            self._check_compatible(trial_id, param_name, distribution)
            self._outbox.put(trial_id, param_name, param_value_internal, distribution)
            value = distribution.to_external_repr(param_value_internal)
            self._note(trial_id, "params", param_name, value)
            self._note(trial_id, "distributions", param_name, distribution)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Let a trial run, or end it."""
        moment = datetime.now()
        with self._writing(trial_id):
            if not self._writes.state(trial_id, state, values, moment):
                return self._rdb.set_trial_state_values(trial_id, state, values)  # which says why not
            changed: dict[str, Any] = {"state": state}
            if values is not None:
                changed["values"] = list(values)
            if state is TrialState.RUNNING or state.is_finished():
                changed["datetime_complete" if state.is_finished() else "datetime_start"] = moment
            self._alter(trial_id, **changed)
            if state is TrialState.RUNNING:
                self._note(trial_id, "user_attrs", OURS, self._writer)
            return True

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Set the value at a step."""
        with self._writing(trial_id):
            if not self._writes.value_at(trial_id, step, intermediate_value):
                self._rdb.set_trial_intermediate_value(trial_id, step, intermediate_value)  # says why not
            self._note(trial_id, "intermediate_values", step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of the user's."""
        self._set_attribute("user", trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of Optuna's."""
        self._set_attribute("system", trial_id, key, value)

    def took(self, trial_id: int) -> bool:
        """Return whether it was this process that let a waiting trial run: an answer may be lost."""
        with self._writing(trial_id):
            self._stale.add(trial_id)
            return self._writes.took(trial_id)

    @contextmanager
    def sending_if(self, may_send: Callable[[], None]) -> Iterator[None]:
        """Send parameters within the block only if ``may_send`` raises nothing; see `Outbox.sending_if`."""
        with self._outbox.sending_if(may_send):
            yield

    def send(self) -> None:
        """Let the server have the parameters that were set last; see `Outbox.send`."""
        with self._lock:
            self._outbox.send()

    def _doubt(self, trial_id: int) -> None:
        """Have a trial read anew: nobody knows what the server holds of it."""
        self._stale.add(trial_id)
        self._made.pop(trial_id, None)

    def _made_before(self, study_id: int, template: FrozenTrial) -> int | None:
        """Return the trial that a call made whose answer was lost, if it is tried again and was queued."""
        if self._making is None or self._making[0] is not template:
            return None
        self.get_all_trials(study_id, deepcopy=False)
        return self._studies[study_id].waiting_as(*self._making)

    def look_anew(self) -> None:
        """Let the next look be one, and the server have what was kept back."""
        with self._lock:
            self.send()
            for trials in self._studies.values():
                trials.looked = -math.inf

    def _look(self, study_id: int, trials: KnownTrials) -> None:
        """Read what has changed since the last look, if that was not just now."""
        self.send()
        moment = time.monotonic()
        if trials.loaded and moment < trials.looked + LOOK_SECONDS and not self._stale:
            return
        news = self._changes.since(study_id, trials.last)
        self._stale |= news.changed
        if news.unknown:
            self._made.clear()
            for others in self._studies.values():
                others.loaded = False
        if not news.exists:
            self._forget(study_id)
            raise KeyError(f"study {study_id}")
        if not trials.loaded:
            self._load(study_id, trials)
            return
        self._study_of.update(dict.fromkeys(news.new, study_id))
        if len(news.new) > MANY:
            self._load(study_id, trials)
        for trial_id in news.new if len(news.new) <= MANY else ():
            known = trial_id in self._made
            trials.put(self._made.pop(trial_id) if known else self._inner.get_trial(trial_id))
        for study in self._studies.values():
            self._read(sorted(self._stale & study.keys()), study)
        self._stale.clear()
        trials.looked = moment
        self._look_for_foreign(trials)

    def _load(self, study_id: int, trials: KnownTrials) -> None:
        """Read all trials but those that are known to have ended."""
        for trial in self._inner.get_all_trials(study_id, deepcopy=False):
            known = trials.get(trial._trial_id)
            if known is None or not known.state.is_finished():
                trials.put(trial)
                self._made.pop(trial._trial_id, None)
        self._study_of.update(dict.fromkeys(trials, study_id))
        trials.loaded = True

    def _read(self, ids: Iterable[int], trials: KnownTrials) -> None:
        for trial_id in ids:
            try:
                trials.put(self._inner.get_trial(trial_id))
            except KeyError:  # its study was removed
                del trials[trial_id]

    def _look_for_foreign(self, trials: KnownTrials) -> None:
        """Read now and then what nobody announces: trials of the user's, and ours that a user has ended."""
        if time.monotonic() < trials.looked_for_foreign + FOREIGN_SECONDS:
            return
        unfinished = [trial for trial in trials.values() if not trial.state.is_finished()]
        foreign = [trial._trial_id for trial in unfinished if OURS not in trial.user_attrs]
        ended = self._changes.ended([trial._trial_id for trial in unfinished])
        self._read({*foreign, *ended}, trials)
        trials.looked_for_foreign = time.monotonic()

    @contextmanager
    def _writing(self, trial_id: int) -> Iterator[None]:
        """Write in turn; after a failure nobody knows what is on the server."""
        with self._lock:
            try:
                self.send()
                yield
            except BaseException:
                self._doubt(trial_id)
                raise

    def _set_attribute(self, kind: str, trial_id: int, key: str, value: Any) -> None:
        with self._writing(trial_id):
            if not self._writes.attribute(trial_id, kind, key, value):
                getattr(self._rdb, f"set_trial_{kind}_attr")(trial_id, key, value)  # which says why not
            self._note(trial_id, f"{kind}_attrs", key, as_read(value))

    def _check_compatible(self, trial_id: int, name: str, distribution: BaseDistribution) -> None:
        """Refuse what Optuna refuses: another kind of parameter under a name, and a trial that has ended."""
        known, trials = self._known(trial_id), self._studies.get(self._study_of.get(trial_id, -1))
        if trials is not None:
            trials.check_compatible(name, distribution)
        if known is not None and known.state.is_finished():
            raise UpdateFinishedTrialError(f"trial {known.number} has ended: it gets no parameter {name}")

    def _note(self, trial_id: int, kind: str, key: Any, value: Any) -> None:
        """Remember what was written of a trial."""
        known = self._known(trial_id)
        if known is not None:
            self._alter(trial_id, **{kind: {**getattr(known, kind), key: value}})

    def _alter(self, trial_id: int, **changed: Any) -> None:
        """Remember a trial as another object than before."""
        known = self._known(trial_id)
        if known is None:
            return
        altered = copy.copy(known)
        for name, value in changed.items():
            setattr(altered, name, value)
        if trial_id in self._made:
            self._made[trial_id] = altered
        else:
            self._studies[self._study_of[trial_id]].put(altered)

    def _known(self, trial_id: int) -> FrozenTrial | None:
        trials = self._studies.get(self._study_of.get(trial_id, -1))
        return self._made.get(trial_id) or (None if trials is None else trials.get(trial_id))

    def delete_study(self, study_id: int) -> None:
        """Remove a study with its trials."""
        with self._lock:
            self._forget(study_id)
            super().delete_study(study_id)

    def _forget(self, study_id: int) -> None:
        for trial_id in self._studies.pop(study_id, ()):
            self._study_of.pop(trial_id, None)
