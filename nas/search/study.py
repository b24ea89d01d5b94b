"""A study: asks a sampler for trials, has them trained, and keeps everything that came out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial, TrialState

from nas.errors import InputError
from nas.files import read_json, write_json
from nas.provenance import now, provenance
from nas.search.leaderboard import RESULT, rows
from nas.search.question import Question
from nas.search.rungs import percent
from nas.search.worker import Order

KEY, DEATHS = "key", "deaths"
SHOWN = 3
"""Differences from an earlier start that are told one by one."""


class Study:
    """The trials of one question, in Optuna's storage and in the study's folder.

    Args:
        question: what is asked.
        folder: the study's folder; this process holds its lock.
        storage: Optuna's.
        sampler: Optuna's.
        pruner: Optuna's; None trains every trial to the end.

    Raises:
        InputError: the folder holds a study with another space or objective.
    """

    def __init__(
        self,
        question: Question,
        folder: Path,
        storage: optuna.storages.BaseStorage,
        sampler: optuna.samplers.BaseSampler,
        pruner: optuna.pruners.BasePruner | None,
    ) -> None:
        self.question = question
        self.folder = folder
        self._before = self._told_before(storage)
        self._origin = {
            "started": self._before.get("started") or now(),
            "provenance": self._before.get("provenance") or provenance(question.seed),
        }
        self._check_same_question()
        self.optuna = optuna.create_study(
            study_name=question.name,
            storage=storage,
            sampler=sampler,
            pruner=pruner or optuna.pruners.NopPruner(),
            direction=question.direction,
            load_if_exists=True,
        )
        self._keys = {k: t.number for t in self._finished() if (k := t.user_attrs.get(KEY))}
        self._trials: dict[int, Trial] = {}
        self._facts: dict[int, dict[str, Any]] = {}

    def abandoned(self) -> Iterator[Order]:
        """Yield the trials that a killed search left running; they keep number and values."""
        for frozen in self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            yield self._order(Trial(self.optuna, frozen._trial_id))

    def asked(self) -> int:
        """Return how many trials there are, in whatever state."""
        return len(self.optuna.get_trials(deepcopy=False))

    def ask(self) -> Order:
        """Let the sampler propose a trial."""
        return self._order(self.optuna.ask())

    def identify(self, number: int, key: str, description: dict[str, Any]) -> bool:
        """Note what a trial is; return False if an equal one is finished, whose result it then has."""
        self._facts[number].update(
            architecture=description["string"],
            hash=description["hash"],
            parameters=description["parameters"],
            flops=description["flops_per_token"],
        )
        twin = self._keys.get(key)
        if twin is None:
            self._facts[number][KEY] = key
            return True
        self._answer_from(number, twin)
        return False

    def report(self, number: int, progress: float, metrics: dict[str, float]) -> bool:
        """Record an evaluation; return whether the trial goes on."""
        trial, step = self._trials[number], percent(progress)
        if step not in self.optuna.get_trials(deepcopy=False)[number].intermediate_values:
            trial.report(self._value(metrics), step)  # a continued trial may come by here again
        return not trial.should_prune()

    def succeed(self, number: int, result: dict[str, Any]) -> None:
        """Record a run's result: completed, pruned or diverged."""
        self._facts[number].update(seconds=result["seconds"], reason=result["reason"])
        state = {"done": TrialState.COMPLETE, "pruned": TrialState.PRUNED}.get(
            result["status"], TrialState.FAIL
        )
        self._end(number, state, self._value(result["metrics"]) if state == TrialState.COMPLETE else None)

    def fail(self, number: int, reason: str) -> None:
        """Record that a trial has no result, and why."""
        self._facts[number]["reason"] = reason
        self._end(number, TrialState.FAIL, None)

    def is_over(self, number: int) -> bool:
        """Return whether a trial that was handed out is recorded with its end."""
        return number not in self._trials

    def count_death(self, number: int) -> int:
        """Return how many workers this trial has cost by now."""
        trial = self._trials[number]
        deaths = int(trial.user_attrs.get(DEATHS, 0)) + 1
        trial.set_user_attr(DEATHS, deaths)
        return deaths

    def rows(self) -> list[dict[str, Any]]:
        """Return the leaderboard."""
        return rows(self.optuna)

    def write(self, workers: int, n_trials: int, sampler: str, seconds: float, finished: bool) -> None:
        """Write ``leaderboard.json`` and ``study.json``.

        Args:
            workers, n_trials, sampler: as they are now.
            seconds: of searching in this start; those of earlier ones are added.
            finished: all trials are over; if this start trained none, the time of the end stands.
        """
        write_json(self.folder / "leaderboard.json", self.rows())
        before = self._before
        ended = (not seconds and before.get("finished")) or now()
        told = {
            **self.question.told(),
            "n_trials": n_trials,
            "sampler": sampler,
            "workers": workers,
            **self._origin,
            "finished": ended if finished else None,
            "seconds": round(before.get("seconds", 0.0) + seconds, 1),
        }
        write_json(self.folder / "study.json", told)

    def _told_before(self, storage: optuna.storages.BaseStorage) -> dict[str, Any]:
        """Return what ``study.json`` says, or nothing if its trials are gone."""
        path = self.folder / "study.json"
        known = self.question.name in optuna.get_all_study_names(storage)
        return dict(read_json(path)) if known and path.is_file() else {}

    def _check_same_question(self) -> None:
        differences = self.question.differences(self._before) if self._before else []
        if differences:
            more = [f"and {len(differences) - SHOWN} more"] if len(differences) > SHOWN else []
            raise InputError(
                f"study={self.question.name!r} was made with {'; '.join([*differences[:SHOWN], *more])}: "
                "continue it as it was, or give another name with study=..."
            )

    def _finished(self) -> list[optuna.trial.FrozenTrial]:
        return self.optuna.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))

    def _order(self, trial: Trial) -> Order:
        values = tuple(self.question.space.overrides(trial))
        overrides = (*self.question.base, *values)
        self._trials[trial.number] = trial
        self._facts[trial.number] = {"overrides": list(overrides)}
        folder = self.folder / "trials" / str(trial.number)
        return Order(trial.number, overrides, values, folder, self.question.name)

    def _value(self, metrics: dict[str, float]) -> float:
        if self.question.objective not in metrics:
            raise InputError(f"objective={self.question.objective!r} is not one of {sorted(metrics)}")
        return metrics[self.question.objective]

    def _answer_from(self, number: int, twin: int) -> None:
        frozen = self.optuna.get_trials(deepcopy=False)[twin]
        self._facts[number].update(seconds=0.0, reason=f"same as trial {twin}")
        trial = self._trials[number]
        reported = self.optuna.get_trials(deepcopy=False)[number].intermediate_values
        for step in frozen.intermediate_values.keys() - reported.keys():
            trial.report(frozen.intermediate_values[step], step)
        self._end(number, frozen.state, frozen.value if frozen.state == TrialState.COMPLETE else None)

    def _end(self, number: int, state: TrialState, value: float | None) -> None:
        trial, facts = self._trials.pop(number), self._facts.pop(number)
        key = facts.pop(KEY, None)
        # Attributes first: a kill between the two leaves a trial that is run again, not a bare row.
        trial.set_user_attr(RESULT, facts)
        if key is not None:
            trial.set_user_attr(KEY, key)
        self.optuna.tell(trial, value, state=state)
        if key is not None and state in (TrialState.COMPLETE, TrialState.PRUNED):
            self._keys.setdefault(key, number)
