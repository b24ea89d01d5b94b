"""The trials of all studies that a storage remembers, found by their id alone."""

from __future__ import annotations

import copy
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial

from nas.search.storages.known_trials import KnownTrials


class KnownStudies(dict[int, KnownTrials]):
    """The known trials of studies, by the studies' ids.

    Attributes:
        made: trials that were made here, and not seen among the others of their study yet, by id.
        study_of: id of a trial to that of its study.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, FrozenTrial] = {}
        self.study_of: dict[int, int] = {}

    def make(self, trial: FrozenTrial, study_id: int) -> None:
        """Add a trial that was made here."""
        self.made[trial._trial_id], self.study_of[trial._trial_id] = trial, study_id

    def trial(self, trial_id: int) -> FrozenTrial | None:
        """Return a trial as it is known."""
        return self.made.get(trial_id) or self._others(trial_id).get(trial_id)

    def note(self, trial_id: int, kind: str, key: Any, value: Any) -> None:
        """Remember what a mapping of a trial has under a key."""
        known = self.trial(trial_id)
        if known is not None:
            self.alter(trial_id, **{kind: {**getattr(known, kind), key: value}})

    def alter(self, trial_id: int, **changed: Any) -> None:
        """Remember a trial as another object than before."""
        known = self.trial(trial_id)
        if known is None:
            return
        altered = copy.copy(known)
        for name, value in changed.items():
            setattr(altered, name, value)
        if trial_id in self.made:
            self.made[trial_id] = altered
        else:
            self._others(trial_id).put(altered)

    def check_parameter(self, trial_id: int, name: str, distribution: BaseDistribution) -> None:
        """Refuse what Optuna refuses.

        Raises:
            ValueError: another kind of parameter has this name.
            UpdateFinishedTrialError: the trial has ended.
        """
        known = self.trial(trial_id)
        if trial_id in self.study_of:
            self._others(trial_id).check_compatible(name, distribution)
        if known is not None and known.state.is_finished():
            raise UpdateFinishedTrialError(f"trial {known.number} has ended: it gets no parameter {name}")

    def forget(self, study_id: int) -> None:
        """Remember nothing of a study."""
        for trial_id in self.pop(study_id, ()):
            self.study_of.pop(trial_id, None)

    def _others(self, trial_id: int) -> KnownTrials:
        known = self.get(self.study_of.get(trial_id, -1))
        return KnownTrials() if known is None else known
