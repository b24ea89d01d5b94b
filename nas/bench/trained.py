"""Tables of our own: every configuration of a small space, trained with several seeds by ``nas-search``.

A finished study of `sampler=grid` becomes a file of ``sweeps/tables`` by ``nas-bench samplers
bench.record=[outputs/table_grammar]``; the bench replays what is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from nas.bench.landscapes import Recorded
from nas.config.overrides import parse
from nas.errors import InputError
from nas.files import read_json, write_text

FOLDER = "tables"
SEED = "seed"
_TOLD = ("study", "task", "objective", "direction", "seed", "started", "finished", "seconds")
_DIGITS = 4


def record(study: Path, folder: Path) -> Path:
    """Write the table of a finished grid study, and return its path.

    Args:
        study: its folder; its space has the key ``seed``.
        folder: of tables.

    Raises:
        InputError: there is no such study, or a configuration lacks a seed or was not trained to its end.
    """
    try:
        told, rows = read_json(study / "study.json"), read_json(study / "leaderboard.json")
    except OSError as error:
        raise InputError(f"bench.record={str(study)!r} is not the folder of a study: {error}") from error
    trained: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        params = _params(row["overrides"])
        seed = params.pop(SEED, None)
        entry = trained.setdefault(tuple(params.items()), {"parameters": row["parameters"], "values": {}})
        entry["values"][seed] = _by_rung(study / "trials" / str(row["number"]), told["objective"])
    _check(study, trained)
    table = {
        **{key: told[key] for key in _TOLD},
        "command": f"nas-search sweep={told['study']} sampler=grid tracker=none",
        "versions": told["provenance"]["versions"],
        "machine": {k: told["provenance"][k] for k in ("platform", "processor", "cores")},
        "rungs": told["config"]["trainer"]["evaluate_at"],
        "names": [name for name, _ in next(iter(trained))],
        "rows": [
            [
                [value for _, value in key],
                entry["parameters"],
                [v for _, v in sorted(entry["values"].items())],
            ]
            for key, entry in sorted(trained.items(), key=lambda item: str(item[0]))
        ],
    }
    path = folder / f"{told['study']}.json"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(table, separators=(",", ":")) + "\n")
    return path


def packaged() -> dict[str, dict[str, Any]]:
    """Return the tables that come with the package, by name."""
    folder = resources.files("nas.sweeps") / FOLDER
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda file: file.name)
    return {file.name.removesuffix(".json"): json.loads(file.read_text(encoding="utf-8")) for file in files}


def landscape(table: dict[str, Any]) -> Recorded:
    """Return a table as a landscape: a configuration's worth is the mean over its seeds, at the last rung."""
    sign = -1.0 if table["direction"] == "minimize" else 1.0
    rows = [dict(zip(table["names"], values, strict=True)) for values, _, _ in table["rows"]]
    worth = [sign * float(np.mean([by_rung[-1] for by_rung in seeds])) for _, _, seeds in table["rows"]]
    sizes = [float(parameters) for _, parameters, _ in table["rows"]]
    return Recorded(table["study"], rows, worth, sizes)


def _params(overrides: Iterable[str]) -> dict[str, Any]:
    """Return what a trial's overrides set; each place of a list by itself."""
    params: dict[str, Any] = {}
    for override in map(parse, overrides):
        if override.key_or_group == "sweep":
            continue
        value = override.value()
        places = enumerate(value) if isinstance(value, list) else ()
        params |= {f"{override.key_or_group}.{i}": item for i, item in places} or {
            override.key_or_group: value
        }
    return params


def _by_rung(trial: Path, objective: str) -> list[float]:
    """Return a trial's objective at each evaluation; nothing if it has none."""
    path = trial / "metrics.jsonl"
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()
    return [round(line[objective], _DIGITS) for line in lines if objective in line]


def _check(study: Path, trained: dict[tuple[Any, ...], dict[str, Any]]) -> None:
    seeds = {seed for entry in trained.values() for seed in entry["values"]}
    rungs = max((len(v) for entry in trained.values() for v in entry["values"].values()), default=0)
    lacking = [
        key
        for key, entry in trained.items()
        if entry["values"].keys() != seeds or any(len(v) != rungs for v in entry["values"].values())
    ]
    if lacking or not rungs:
        shown = f", such as {dict(lacking[0])}" if lacking else ""
        raise InputError(
            f"bench.record={str(study)!r}: {len(lacking)} configurations are not trained to the end "
            f"with every seed{shown}: finish the study with the same command"
        )
