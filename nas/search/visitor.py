"""A study that somebody else has made with Optuna, written as the files of one of ours."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.errors import InputError
from nas.files import read_json, write_json, write_text
from nas.search.leaderboard import RESULT, Leaderboard, Row
from nas.search.objectives import Objective, Objectives
from nas.search.opening import TOLD
from nas.search.question import one_or_all
from nas.search.rungs.reports import last_reported
from nas.search.spaces.space import lines

_CURVES = 10
"""So many of the best trials have their curves drawn."""


def write_visitor(study: optuna.Study, folder: Path, source: Path) -> tuple[list[Row], Objectives]:
    """Write a study's ``study.json``, ``leaderboard.json`` and curves; return its rows and objectives.

    Args:
        study: Optuna's.
        folder: to be made; or made by an earlier call for the same study.
        source: the file that it was read from.

    Raises:
        InputError: the folder holds something else.
    """
    origin = {"file": str(source.resolve()), "study": study.study_name}
    _check_free(folder, origin)
    objectives = _objectives(study)
    trials = study.get_trials(deepcopy=False)
    shown = optuna.create_study(directions=study.directions)
    shown.add_trials([_with_facts(trial, objectives) for trial in trials])
    rows = Leaderboard(shown, objectives).rows()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "study.json", {"source": origin, **_told(study, objectives, trials, source)})
    write_json(folder / "leaderboard.json", rows)
    if len(objectives) == 1:  # there are no others with intermediate values
        for row in rows[:_CURVES]:
            _write_curve(folder / "trials" / str(row["number"]), trials[row["number"]], objectives[0].name)
    return rows, objectives


def folder_of(study: str) -> str:
    """Return a name for the folder of a study, whose own may hold what a file's may not."""
    name = "".join("_" if sign in "/\\\0" else sign for sign in study)
    return name if name not in ("", ".", "..") else "study"


def _check_free(folder: Path, origin: Mapping[str, str]) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    path = folder / "study.json"
    before = read_json(path).get("source") if path.is_file() else None
    if before != origin:
        held = f"the study {before['study']!r} of {before['file']}" if before else "something else"
        raise InputError(f"{folder} holds {held}: choose another folder with paths.outputs=...")


def _objectives(study: optuna.Study) -> Objectives:
    """Return a study's objectives, by the names that it has for them."""
    minimize = [direction is not StudyDirection.MAXIMIZE for direction in study.directions]
    told = study.user_attrs.get(TOLD, {}).get("objective")  # one of ours that was copied
    named = study.metric_names or ([told] if isinstance(told, str) else told)
    if not named or len(named) != len(minimize) or len(set(named)) < len(named):
        named = ["value"] if len(minimize) == 1 else [f"value {i}" for i in range(len(minimize))]
    return tuple(
        Objective(str(name), "minimize" if down else "maximize")
        for name, down in zip(named, minimize, strict=True)
    )


def _with_facts(trial: FrozenTrial, objectives: Objectives) -> FrozenTrial:
    """Return a trial with what a row tells of it, as far as Optuna knows."""
    known = {k: v for k, v in trial.intermediate_values.items() if not math.isnan(v)}
    broken = _broken(trial)
    state = TrialState.FAIL if broken else trial.state
    values = None if state is not TrialState.COMPLETE else trial.values
    copied = create_trial(
        state=state, values=values, params=trial.params, distributions=trial.distributions,
        user_attrs=trial.user_attrs, intermediate_values=known,
    )  # fmt: skip
    seconds = trial.duration.total_seconds() if trial.duration else None
    facts = {"overrides": lines(trial.params), "seconds": seconds, "reason": broken or _reason(copied)}
    return _marked(copied, {**facts, **trial.user_attrs.get(RESULT, {})})


def _marked(trial: FrozenTrial, facts: Mapping[str, Any]) -> FrozenTrial:
    trial.set_user_attr(RESULT, dict(facts))
    return trial


def _broken(trial: FrozenTrial) -> str | None:
    """Return why a trial that was completed is none of the best: it breaks a constraint of the user's."""
    broken = [name for name, value in trial.constraints.items() if value > 0]
    if trial.state is not TrialState.COMPLETE or not broken:
        return None
    told = ", ".join(f"{value:.6g}" for value in trial.values)
    return f"breaks constraint {', '.join(broken)}; its value is {told}"


def _reason(trial: FrozenTrial) -> str | None:
    if trial.state is TrialState.PRUNED and trial.intermediate_values:
        return f"pruned at step {max(trial.intermediate_values)}"
    if trial.state is TrialState.FAIL:
        last = last_reported(trial)
        return f"failed; its last value is {last[0]:.6g}" if last else "failed"
    return None


def _told(
    study: optuna.Study, objectives: Objectives, trials: Sequence[FrozenTrial], source: Path
) -> dict[str, Any]:
    """Return what ``study.json`` says, the keys of our own studies where they have a meaning."""
    starts = [t.datetime_start for t in trials if t.datetime_start]
    ends = [t.datetime_complete for t in trials if t.datetime_complete]
    going = any(not t.state.is_finished() for t in trials)
    span = (max(ends) - min(starts)).total_seconds() if starts and ends else None
    return {
        "study": study.study_name,
        "objective": one_or_all([o.name for o in objectives]),
        "direction": one_or_all([o.direction for o in objectives]),
        "space": _space(trials),
        "started": min(starts).isoformat(timespec="seconds") if starts else None,
        "finished": max(ends).isoformat(timespec="seconds") if ends and not going else None,
        "seconds": span,
        "remarks": [f"Read from {source}, a study made with Optuna; nothing was written there."],
    }


def _space(trials: Sequence[FrozenTrial]) -> dict[str, Any]:
    found = {name: d for trial in trials for name, d in trial.distributions.items()}
    return {
        name: {k: v for k, v in json.loads(_json(d))["attributes"].items() if v not in (None, False)}
        for name, d in found.items()
    }


def _json(distribution: optuna.distributions.BaseDistribution) -> str:
    return optuna.distributions.distribution_to_json(distribution)


def _write_curve(folder: Path, trial: FrozenTrial, name: str) -> None:
    points = [(s, v) for s, v in sorted(trial.intermediate_values.items()) if math.isfinite(v)]
    if len(points) > 1:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(
            folder / "metrics.jsonl",
            "".join(json.dumps({"step": step, name: value}) + "\n" for step, value in points),
            durable=False,
        )
