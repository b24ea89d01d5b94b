"""Versions of a study's space: when it gains choices, its trials move on into the wider space.

Optuna fixes the choices of a study's parameters. So a study whose space has grown goes on as another one
of the same storage, ``name@2``, into which every trial is copied with the parameters as they are now: the
sampler learns from all of them, numbers and values stay.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial


def name_of(study: str, version: int) -> str:
    """Return the name under which a version of a study is stored."""
    return study if version == 1 else f"{study}@{version}"


def newest(storage: optuna.storages.BaseStorage, study: str) -> int:
    """Return the newest version in a storage; 0: there is none."""
    pattern = re.compile(rf"{re.escape(study)}(?:@(\d+))?")
    found = [pattern.fullmatch(name) for name in optuna.get_all_study_names(storage)]
    return max((int(match[1] or 1) for match in found if match), default=0)


def move_on(
    storage: optuna.storages.BaseStorage, study: str, version: int, parameters: Mapping[str, BaseDistribution]
) -> None:
    """Copy a version's trials into the next one.

    A copy that a kill left behind is made anew: nothing was added to it, as long as the caller records
    the new version before the first trial.

    Args:
        storage: Optuna's.
        study: its name, without a version.
        version: the one that is left.
        parameters: as they are in the next one.
    """
    before, after = name_of(study, version), name_of(study, version + 1)
    if after in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=after, storage=storage)
    old = optuna.load_study(study_name=before, storage=storage)
    study_id = storage.create_new_study(old.directions, after)
    for trial in old.get_trials(deepcopy=False):
        storage.create_new_trial(study_id, template_trial=_widened(trial, parameters))


def _widened(trial: FrozenTrial, parameters: Mapping[str, BaseDistribution]) -> FrozenTrial:
    widened = copy.deepcopy(trial)
    widened.distributions = {name: parameters.get(name, d) for name, d in trial.distributions.items()}
    return widened
