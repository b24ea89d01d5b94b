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
from optuna.trial import FrozenTrial, TrialState

from nas.search.storages.known_studies import KnownStudies
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

_REMEMBERED = {"reports": "intermediate_values", "user": "user_attrs", "system": "system_attrs"}
"""Where a trial in memory has what it was told."""


class PostgresMemory(WholeStudies):
    """Remembers the trials of studies: those that nobody has changed are the same objects again.

    All that is written goes to the server at once, and is announced there to the memories of other
    processes; but parameters, which Optuna sets one by one, go with the next call, and what is told within
    `together` with its end. All but two are on disk then: parameters are, before a worker has them, with
    the end of the turn in which they were proposed; and a server that dies may lose the last second of
    what trials report.

    Args:
        rdb: Optuna's storage on PostgreSQL.
    """

    def __init__(self, rdb: optuna.storages.RDBStorage) -> None:
        self._writer = writer = uuid.uuid4().hex
        super().__init__(optuna.storages.get_storage(rdb))
        self._rdb = rdb
        self._changes, self._writes = Changes(rdb.engine, writer), Writes(rdb.engine, writer)
        self._known = KnownStudies()
        self._stale: set[int] = set()
        self._outbox = Outbox(self._writes, self._doubt, self._check_unended)
        self._together = False
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
            trials = self._known.setdefault(study_id, KnownTrials())
            self._look(study_id, trials)
            found = trials.all() if states is None else trials.of(states)
        return copy.deepcopy(list(found)) if deepcopy else found

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial."""
        with self._lock:
            study_id = self._known.study_of.get(trial_id, -1)
            known, trials = self._known.trial(trial_id), self._known.get(study_id)
            if trials is not None and (known is None or not known.state.is_finished()):
                self._look(study_id, trials)
                known = self._known.trial(trial_id)
            if known is None:
                self.send()
                return self._inner.get_trial(trial_id)
            return known

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
            self._making = template, self._known.get(study_id, KnownTrials()).last
            trial_id, number = self._writes.trial(study_id, template)
            self._making = None
            made = copy.copy(template)
            made.number, made._trial_id = number, trial_id
            made.user_attrs, made.system_attrs = map(as_read, (made.user_attrs, made.system_attrs))
            self._known.make(made, study_id)
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
            self._known.check_parameter(trial_id, param_name, distribution)
            self._outbox.of(trial_id).parameters[param_name] = param_value_internal, distribution
            value = distribution.to_external_repr(param_value_internal)
            self._known.note(trial_id, "params", param_name, value)
            self._known.note(trial_id, "distributions", param_name, distribution)

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
            self._known.alter(trial_id, **changed)
            if state is TrialState.RUNNING:
                self._known.note(trial_id, "user_attrs", OURS, self._writer)
            return True

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Set the value at a step."""
        self._tell(trial_id, "reports", step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of the user's."""
        self._tell(trial_id, "user", key, as_read(value))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of Optuna's."""
        self._tell(trial_id, "system", key, as_read(value))

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

    @contextmanager
    def together(self) -> Iterator[None]:
        """Keep what trials are told within the block for the next `send`, which goes before other writes.

        After an error, what was not sent by then is dropped.
        """
        self._together = True
        try:
            yield
        except BaseException:
            with self._lock:
                self._outbox.drop()
            raise
        finally:
            self._together = False

    def send(self) -> None:
        """Let the server have what was kept back; see `Outbox.send`."""
        with self._lock:
            self._outbox.send()

    def _doubt(self, trial_id: int) -> None:
        """Have a trial read anew: nobody knows what the server holds of it."""
        self._stale.add(trial_id)
        self._known.made.pop(trial_id, None)

    def _check_unended(self, trial_id: int) -> None:
        self._rdb.check_trial_is_updatable(trial_id, self._rdb.get_trial(trial_id).state)

    def _made_before(self, study_id: int, template: FrozenTrial) -> int | None:
        """Return the trial that a call made whose answer was lost, if it is tried again and was queued."""
        if self._making is None or self._making[0] is not template:
            return None
        trials = self._known.setdefault(study_id, KnownTrials())
        self._look(study_id, trials)
        return trials.waiting_as(*self._making)

    def look_anew(self) -> None:
        """Let the next look be one, and the server have what was kept back."""
        with self._lock:
            self.send()
            for trials in self._known.values():
                trials.looked = -math.inf

    def _look(self, study_id: int, trials: KnownTrials) -> None:
        """Read what has changed since the last look, if that was not just now."""
        if not self._together:
            self.send()
        moment = time.monotonic()
        if trials.loaded and moment < trials.looked + LOOK_SECONDS and not self._stale:
            return
        self.send()  # what is read anew has it
        news = self._changes.since(study_id, trials.last)
        self._stale |= news.changed
        if news.unknown:
            self._known.made.clear()
            for others in self._known.values():
                others.loaded = False
        if not news.exists:
            self._known.forget(study_id)
            raise KeyError(f"study {study_id}")
        if not trials.loaded:
            self._load(study_id, trials)
            return
        self._known.study_of.update(dict.fromkeys(news.new, study_id))
        if len(news.new) > MANY:
            self._load(study_id, trials)
        for trial_id in news.new if len(news.new) <= MANY else ():
            made = self._known.made.pop(trial_id, None)
            trials.put(self._inner.get_trial(trial_id) if made is None else made)
        for study in self._known.values():
            self._read(sorted(self._stale & study.keys()), study)
        self._stale.clear()
        trials.looked = moment
        self._look_for_foreign(study_id, trials)

    def _load(self, study_id: int, trials: KnownTrials) -> None:
        """Read all trials but those that are known to have ended."""
        for trial in self._inner.get_all_trials(study_id, deepcopy=False):
            known = trials.get(trial._trial_id)
            if known is None or not known.state.is_finished():
                trials.put(trial)
                self._known.made.pop(trial._trial_id, None)
        self._known.study_of.update(dict.fromkeys(trials, study_id))
        trials.loaded = True

    def _read(self, ids: Iterable[int], trials: KnownTrials) -> None:
        for trial_id in ids:
            try:
                trials.put(self._inner.get_trial(trial_id))
            except KeyError:  # its study was removed
                del trials[trial_id]

    def _look_for_foreign(self, study_id: int, trials: KnownTrials) -> None:
        """Read now and then what nobody announces: trials of the user's, and ours that a user has ended."""
        if time.monotonic() < trials.looked_for_foreign + FOREIGN_SECONDS:
            return
        foreign = [i for i, trial in trials.unfinished.items() if OURS not in trial.user_attrs]
        ended = self._changes.ended(study_id, trials.last, trials.unfinished)
        self._read({*foreign, *ended}, trials)
        trials.looked_for_foreign = time.monotonic()

    @contextmanager
    def _writing(self, trial_id: int) -> Iterator[None]:
        """Write in turn, after what was kept back."""
        with self._lock, self._doubting(trial_id):
            self.send()
            yield

    @contextmanager
    def _doubting(self, trial_id: int) -> Iterator[None]:
        """After a failure nobody knows what is on the server."""
        try:
            yield
        except BaseException:
            self._doubt(trial_id)
            raise

    def _tell(self, trial_id: int, kind: str, key: Any, value: Any) -> None:
        """Have a trial told something, now or with the end of `together`."""
        with self._lock:
            getattr(self._outbox.of(trial_id), kind)[key] = value
            self._known.note(trial_id, _REMEMBERED[kind], key, value)
            if not self._together:
                with self._doubting(trial_id):
                    self.send()

    def delete_study(self, study_id: int) -> None:
        """Remove a study with its trials."""
        with self._lock:
            self._known.forget(study_id)
            super().delete_study(study_id)
