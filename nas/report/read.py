"""The files of a study or a run, read into plain values; what is missing or half-written is left out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from nas.errors import InputError
from nas.files import read_json
from nas.report.found import STATES, Curve, Objective, Run, Study, Trial
from nas.track.jsonl import read_rows


def is_study(folder: Path) -> bool:
    """Say whether a search wrote this folder."""
    return (folder / "study.json").is_file() or (folder / "leaderboard.json").is_file()


def is_run(folder: Path) -> bool:
    """Say whether a training run wrote this folder."""
    return any((folder / name).is_file() for name in ("result.json", "metrics.jsonl", "architecture.json"))


def read_study(folder: Path) -> Study:
    """Read a study folder.

    Raises:
        InputError: there is no such folder, it is no study, or its own files are not JSON.
    """
    if not folder.is_dir():
        raise InputError(
            f"folder={str(folder)!r} does not exist; expected the folder of a study, such as outputs/<study>"
        )
    if not is_study(folder):
        raise InputError(
            f"folder={str(folder)!r} is not a study: "
            "it has neither study.json nor leaderboard.json, which nas-search writes"
        )
    told = _own_json(folder / "study.json", dict)
    rows = _own_json(folder / "leaderboard.json", list)
    objectives = _objectives(told)
    trials = _with_twins([_trial(row, folder) for row in rows if isinstance(row, dict)])
    provenance = _mapping(told.get("provenance"))
    return Study(
        folder=folder,
        name=_text(told.get("study")) or folder.resolve().name,
        objectives=objectives,
        task=_text(told.get("task")),
        n_trials=_whole(told.get("n_trials")),
        finished=bool(told.get("finished")),
        seconds=number(told.get("seconds")),
        trials=tuple(sorted(trials, key=lambda trial: _rank(trial, objectives))),
        overrides=_texts(told.get("overrides")),
        space=_mapping(told.get("space")),
        facts={
            key: told[key]
            for key in ("sampler", "seed", "workers", "started", "finished")
            if told.get(key) is not None
        },
        provenance=provenance,
        remarks=_texts(told.get("remarks")),
    )


def _objectives(told: Mapping[str, Any]) -> tuple[Objective, ...]:
    names, directions = told.get("objective"), told.get("direction")
    names = names if isinstance(names, list) else [names]
    directions = directions if isinstance(directions, list) else [directions] * len(names)
    return tuple(
        Objective(_text(name) or "objective", direction != "maximize")
        for name, direction in zip_longest(names, directions[: len(names)])
    )


def read_run(folder: Path, name: str) -> Run:
    """Read a run folder; a run without ``result.json`` is told as not finished."""
    result = _mapping(_tolerant_json(folder / "result.json"))
    description = _description(folder)
    described = description or {}
    metrics = {key: number(value) for key, value in _mapping(result.get("metrics")).items()}
    return Run(
        folder=folder,
        name=name,
        status=_text(result.get("status")) or "not finished",
        task=_text(result.get("task")),
        metrics={key: value for key, value in metrics.items() if value is not None},
        architecture=_text(result.get("architecture")) or _text(described.get("string")),
        parameters=_first_number(result.get("parameters"), described.get("parameters")),
        flops=_first_number(result.get("flops_per_token"), described.get("flops_per_token")),
        tokens_per_second=number(result.get("tokens_per_second")),
        seconds=number(result.get("seconds")),
        seed=_text(result.get("seed")),
        reason=_text(result.get("reason")),
        description=description,
    )


def read_curve(folder: Path, key: str) -> Curve:
    """Return the values of one metric by step; a step that was logged again counts once."""
    points: dict[float, float] = {}
    for row in read_rows(folder / "metrics.jsonl"):
        if isinstance(row, dict):
            step, value = number(row.get("step")), number(row.get(key))
            if step is not None and value is not None:
                points[step] = value
    return sorted(points.items())


def number(value: Any) -> float | None:
    """Return a finite number, or None for everything else (null, NaN, infinity, text)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _trial(row: Mapping[str, Any], folder: Path) -> Trial:
    index = _whole(row.get("number"))
    place = folder / "trials" / str(index)
    description = _description(place)
    described = description or {}
    return Trial(
        number=-1 if index is None else index,
        state=_text(row.get("state")) or "RUNNING",
        value=number(row.get("value")),
        architecture=_text(row.get("architecture")) or _text(described.get("string")),
        hash=_text(row.get("hash")),
        overrides=_texts(row.get("overrides")),
        parameters=_first_number(row.get("parameters"), described.get("parameters")),
        flops=_first_number(row.get("flops"), described.get("flops_per_token")),
        seconds=number(row.get("seconds")),
        reason=_text(row.get("reason")),
        folder=place,
        description=description,
        inherited="inherited" in row,
        values={k: v for k, v in _mapping(row.get("values")).items() if number(v) is not None},
    )


def _with_twins(trials: list[Trial]) -> list[Trial]:
    """Give a trial that was not run the description of one with the same architecture."""
    known = {trial.hash: trial for trial in trials if trial.description is not None and trial.hash}

    def completed(trial: Trial) -> Trial:
        twin = known.get(trial.hash)
        if trial.description is not None or twin is None:
            return trial
        return replace(trial, description=twin.description)

    return [completed(trial) for trial in trials]


def _rank(trial: Trial, objectives: Sequence[Objective]) -> tuple[int, bool, float, int]:
    """Completed trials by value, those from scratch first; of several objectives as the file has them."""
    state = STATES.index(trial.state) if trial.state in STATES else len(STATES)
    if len(objectives) > 1:
        return state, trial.inherited, 0.0, 0
    if trial.state != "COMPLETE" or trial.value is None:
        return state, False, math.inf, trial.number
    return state, trial.inherited, objectives[0].sign * trial.value, trial.number


def _description(folder: Path) -> Mapping[str, Any] | None:
    """Return ``architecture.json``, if it is whole."""
    told = _tolerant_json(folder / "architecture.json")
    if not isinstance(told, dict) or not isinstance(told.get("slots"), list):
        return None
    return {**told, "slots": [slot for slot in told["slots"] if isinstance(slot, dict)]}


def _tolerant_json(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def _own_json(path: Path, kind: type) -> Any:
    """Read one of the study's own files; a file that is not there yet is empty."""
    if not path.is_file():
        return kind()
    try:
        value = read_json(path)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} must hold JSON, but cannot be read as such: {error}") from None
    if not isinstance(value, kind):
        raise InputError(f"{path} must hold a JSON {'list' if kind is list else 'object'}")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _whole(value: Any) -> int | None:
    found = number(value)
    return None if found is None else int(found)


def _first_number(*values: Any) -> float | None:
    return next((found for found in map(number, values) if found is not None), None)
