"""Folders as a search and training runs leave them, small or large, generated from a seed."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BLOCKS = {
    "mha": ("attention", 16_640, 41_000),
    "local": ("attention", 16_640, 37_000),
    "conv": ("mixing", 640, 1_300),
    "fourier": ("mixing", 128, 900),
    "mlp": ("feedforward", 33_100, 66_000),
    "geglu": ("feedforward", 24_700, 49_000),
    "reuse": ("recursive", 8_400, 21_000),
    "none": ("none", 0, 0),
}
MakeStudy = Callable[..., Path]
MakeRun = Callable[..., dict[str, Any]]


def describe(labels: list[str]) -> dict[str, Any]:
    """Return a description; an equal feed-forward block later in the list is shared with the first."""
    slots: list[dict[str, Any]] = []
    for label in labels:
        role, parameters, flops = BLOCKS[label]
        first = labels.index(label) if label == "geglu" else len(slots)
        shared = first if first != len(slots) else None
        slots.append(
            {
                "label": label,
                "role": role,
                "class": label.title(),
                "parameters": 0 if shared is not None else parameters,
                "flops_per_token": float(flops),
                "shared_with": shared,
                "recursive": role == "recursive",
                "settings": {"hidden_size": 64, "num_heads": 4, "bias": False, "norm": "pre"},
            }
        )
    return {
        "string": "-".join(label for label in labels if label != "none") or "none",
        "hash": hashlib.sha256("".join(labels).encode()).hexdigest()[:12],
        "hidden_size": 64,
        "seq_length": 64,
        "parameters": 54_000 + sum(slot["parameters"] for slot in slots),
        "flops_per_token": 1000.0 + sum(slot["flops_per_token"] for slot in slots),
        "embedding": {"label": "word+position+type", "parameters": 50_000},
        "pooler": {"parameters": 4_000},
        "slots": slots,
    }


def write_run(folder: Path, labels: list[str], value: float, **result: Any) -> dict[str, Any]:
    """Write a finished run's folder."""
    folder.mkdir(parents=True)
    description = describe(labels)
    (folder / "architecture.json").write_text(json.dumps(description))
    rows = [
        {"step": step, "val/loss": value + 2.5 * 0.5 ** (step / 40), "train/loss": value + 0.1}
        for step in range(20, 201, 20)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = {
        "status": "done",
        "task": "mlm",
        "metrics": {"val/loss": value, "val/accuracy": 0.31},
        "architecture": description["string"],
        "architecture_hash": description["hash"],
        "parameters": description["parameters"],
        "flops_per_token": description["flops_per_token"],
        "tokens_per_second": 51_000.0,
        "steps": 200,
        "seconds": 14.2,
        "seed": 0,
        **result,
    }
    (folder / "result.json").write_text(json.dumps(told))
    return description


def _row(folder: Path, number: int, draw: random.Random) -> dict[str, Any]:
    labels = [draw.choice(list(BLOCKS)) for _ in range(6)]
    size = describe(labels)["parameters"]
    value = 3.6 - size / 400_000 - 0.05 * labels.count("mha") + draw.gauss(0, 0.06)
    state = draw.choices(["COMPLETE", "PRUNED", "FAIL"], [16, 6, 1])[0]
    description = describe(labels)
    if state == "COMPLETE":
        write_run(folder / "trials" / str(number), labels, value)
    reasons = {
        "COMPLETE": None,
        "PRUNED": "pruned at 25 % of the budget",
        "FAIL": "diverged: loss is NaN at step 12",
    }
    return {
        "number": number,
        "state": state,
        "value": None if state == "FAIL" else value,
        "architecture": description["string"],
        "hash": description["hash"],
        "overrides": [
            f"encoder.hidden_cls=[{','.join(labels)}]",
            f"optimizer.lr={draw.uniform(1e-4, 1e-2):.5f}",
        ],
        "parameters": description["parameters"],
        "flops": description["flops_per_token"],
        "seconds": None if state == "FAIL" else draw.uniform(8, 20),
        "reason": reasons[state],
    }


def write_study(folder: Path, trials: int = 40, **told: Any) -> Path:
    """Write a study's folder with trials of all states."""
    folder.mkdir(parents=True)
    draw = random.Random(7)
    rows = [_row(folder, number, draw) for number in range(trials)]
    best = sorted((row for row in rows if row["state"] == "COMPLETE"), key=lambda row: row["value"])
    rows = best + [row for row in rows if row["state"] != "COMPLETE"]
    study = {
        "study": folder.name,
        "objective": "val/loss",
        "direction": "minimize",
        "task": "mlm",
        "n_trials": trials,
        "overrides": ["sweep=layer_choice"],
        "space": {"encoder.slots.0": "mha, conv, none", "optimizer.lr": "log 1e-4 .. 1e-2"},
        "sampler": "tpe",
        "seed": 3,
        "workers": 2,
        "started": "2030-01-02T03:04:05+00:00",
        "finished": "2030-01-02T03:08:09+00:00",
        "seconds": 244.0,
        "provenance": {"seed": 3, "versions": {"torch": "2.13.0"}, "command": ["nas-search", "n_trials=40"]},
        **told,
    }
    (folder / "study.json").write_text(json.dumps(study))
    (folder / "leaderboard.json").write_text(json.dumps(rows))
    if best:
        (folder / "best.yaml").write_text("# the winner\n")
    return folder


@pytest.fixture
def make_study(tmp_path: Path) -> MakeStudy:
    """Return a function that writes a study's folder."""
    return lambda trials=40, **told: write_study(tmp_path / "layer_choice", trials, **told)


@pytest.fixture
def make_run() -> MakeRun:
    """Return a function that writes a finished run's folder."""
    return write_run


@pytest.fixture
def make_description() -> Callable[[list[str]], dict[str, Any]]:
    """Return a function that describes an encoder made of the named blocks."""
    return describe
