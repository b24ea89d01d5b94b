"""``study.json``: what a study asks, how it was run, and what puts its best value into proportion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna

from nas.files import write_json
from nas.provenance import now, provenance
from nas.search.opening import TOLD, space_version, told_before
from nas.search.question import Question


class Records:
    """What earlier starts of a study told, and what this one adds.

    Args:
        question: of the study.
        folder: the study's.
        storage: Optuna's.
        others: how many other supervisors search the study.

    Raises:
        InputError: the folder holds a study with another space or objective.
    """

    def __init__(
        self, question: Question, folder: Path, storage: optuna.storages.BaseStorage, others: int = 0
    ) -> None:
        self._question, self._folder = question, folder
        self._before = told_before(question, folder, storage)
        self._origin = {
            "started": self._before.get("started") or now(),
            "provenance": self._before.get("provenance") or provenance(question.seed),
        }
        self.version = space_version(question, self._before, storage, others)

    def leave_in(self, study: optuna.Study) -> None:
        """Leave the question in the storage, for those who join the study from another folder."""
        if TOLD not in study.user_attrs:
            study.set_user_attr(
                TOLD, {**self._question.told(), "space_version": self.version, **self._origin}
            )

    def write(
        self,
        proportion: dict[str, Any],
        workers: int,
        n_trials: int,
        sampler: str,
        seconds: float,
        finished: bool,
    ) -> None:
        """Write ``study.json``.

        Args:
            proportion: what `nas.search.census.Census.proportion` tells.
            workers, n_trials, sampler: as they are now.
            seconds: of searching in this start; those of earlier ones are added.
            finished: all trials are over; if this start trained none, the time of the end stands.
        """
        before = self._before
        ended = (not seconds and before.get("finished")) or now()
        told = {
            **self._question.told(),
            "space_version": self.version,
            "n_trials": n_trials,
            **proportion,
            "sampler": sampler,
            "workers": workers,
            **self._origin,
            "finished": ended if finished else None,
            "seconds": round(before.get("seconds", 0.0) + seconds, 1),
        }
        write_json(self._folder / "study.json", told)
