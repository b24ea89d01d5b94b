"""The trials of a study as rows, best first, from its storage alone."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from nas import pareto
from nas.search.changes import Changes
from nas.search.objectives import Objectives, signed
from nas.search.purposes import INHERITED
from nas.search.rungs.reports import in_words, last_reported, paused_at

RESULT = "result"
"""The user attribute that holds what a trial's run left behind."""

REFUSED = "refused"
"""The user attribute that says why a proposal was not trained: such a trial has no row."""

FAILED = "failed"
"""The user attribute, and the constraint, of a trial that has no value: its memory did not suffice, it
diverged, its worker died. Optuna's samplers learn nothing of its state FAIL, so it is stored as pruned
with a broken constraint, which every sampler reads as worse than all that were completed."""

STATES = ("COMPLETE", "PRUNED", "PAUSED", "FAIL", "RUNNING", "WAITING")
"""The states of rows, in the order in which these come."""

Row = dict[str, Any]
Rank = tuple[int, bool, float, int]


class Leaderboard:
    """Reads the rows of a study again and again, and places those of trials that have changed.

    Args:
        study: Optuna's.
        objectives: its objectives.
    """

    def __init__(self, study: optuna.Study, objectives: Objectives) -> None:
        self._study, self._objectives = study, objectives
        self._changes = Changes()
        self._places: list[Rank] = []
        self._rows: list[Row] = []
        self._found: dict[int, Row] = {}

    def rows(self) -> list[Row]:
        """Return one row for each trial: completed ones, best first, then the others by `STATES`.

        Of several objectives the front comes first, its knee before the rest of it, and a row tells all
        ``values`` by name, whether it is of the ``front`` and whether it is the ``knee``.
        """
        self._look()
        return self._rows.copy() if len(self._objectives) == 1 else self._by_front(self._rows)

    def of(self, numbers: Iterable[int]) -> list[Row]:
        """Return the rows of some trials, without what they are to others; one that was refused has none."""
        self._look()
        return [self._found[number] for number in numbers if number in self._found]

    def _look(self) -> None:
        for trial in self._changes.take(self._study.get_trials(deepcopy=False)):
            self._displace(trial.number)
            if REFUSED not in trial.user_attrs:
                self._place(trial)

    def _place(self, trial: FrozenTrial) -> None:
        row = self._found[trial.number] = _row(trial, self._objectives)
        rank = self._rank(row)
        place = bisect_left(self._places, rank)  # no two ranks are equal: each has its number
        self._places.insert(place, rank)
        self._rows.insert(place, row)

    def _displace(self, number: int) -> None:
        if number in self._found:
            place = bisect_left(self._places, self._rank(self._found.pop(number)))
            del self._places[place], self._rows[place]

    def _rank(self, row: Row) -> Rank:
        value = math.inf if row["value"] is None else self._objectives[0].sign * row["value"]
        return STATES.index(row["state"]), "inherited" in row, value, row["number"]

    def _by_front(self, rows: list[Row]) -> list[Row]:
        done = [row for row in rows if row["state"] == "COMPLETE" and "inherited" not in row]
        done.sort(key=lambda row: row["number"])
        values = [signed(self._objectives, list(row["values"].values())) for row in done]
        keys = [(row["hash"], *value) for row, value in zip(done, values, strict=True)]
        front = [i for i in pareto.front(values) if keys.index(keys[i]) == i]  # each architecture once
        middle = front[pareto.knee([values[i] for i in front])] if front else None
        members = set(front)
        told = [{**row, "front": i in members, "knee": i == middle} for i, row in enumerate(done)]
        best = sorted(pareto.order(values), key=lambda i: (not told[i]["knee"], not told[i]["front"]))
        others = {row["number"] for row in rows} - {row["number"] for row in done}
        rest = [{**r, "front": False, "knee": False} for r in rows if r["number"] in others]
        return [*(told[i] for i in best), *sorted(rest, key=self._rank)]


def has_failed(trial: FrozenTrial) -> bool:
    """Return whether a trial ended without a value of its own."""
    return trial.state is TrialState.FAIL or FAILED in trial.user_attrs


def _row(trial: FrozenTrial, objectives: Objectives) -> Row:
    result = trial.user_attrs.get(RESULT, {})
    paused = paused_at(trial)
    failed = has_failed(trial)
    last = None if failed else trial.values or last_reported(trial)
    state = "FAIL" if failed else trial.state.name
    row = {
        "number": trial.number,
        "state": state if paused is None else "PAUSED",
        "value": last[0] if last and (trial.state.is_finished() or paused) else None,
        "architecture": result.get("architecture"),
        "hash": result.get("hash"),
        "overrides": result.get("overrides", []),
        "parameters": result.get("parameters"),
        "flops": result.get("flops"),
        "seconds": result.get("seconds"),
        "reason": in_words(trial) if paused else result.get("reason"),
    }
    if INHERITED in trial.user_attrs:  # such a value is not comparable with others
        slots = result.get("inherited") or (None, None)
        row["inherited"] = {"from": trial.user_attrs[INHERITED]["of"], "slots": slots[0], "of": slots[1]}
    if len(objectives) > 1:
        row["values"] = {o.name: v for o, v in zip(objectives, last, strict=True)} if last else None
    return row
