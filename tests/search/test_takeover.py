"""A trial that changes hands: it goes on at the step that it was saved at, to the same result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.config.build import Run, run_of
from nas.config.compose import compose
from nas.errors import PausedRunError
from nas.search.takeover import bring
from nas.train.rung import PAUSE


def run(lab: Any, folder: Path) -> Run:
    made = run_of(compose("train", lab.overrides("encoder.hidden_cls=[attn,conv]")), folder)
    assert isinstance(made, Run)
    return made


def steps(folder: Path) -> list[int]:
    """Return the steps whose training loss is in a run folder's metrics."""
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [row["step"] for row in rows if "train/loss" in row]


def test_it_goes_on_at_its_step_in_another_folder(lab: Any, tmp_path: Path) -> None:
    whole = run(lab, tmp_path / "whole").train(report=lambda _: None)
    first, second, told = tmp_path / "first" / "7", tmp_path / "second" / "7", []
    with pytest.raises(PausedRunError):
        run(lab, first).train(report=lambda _: None, rung=lambda progress, metrics: PAUSE)
    before = {path.relative_to(first): path.read_bytes() for path in first.rglob("*") if path.is_file()}
    saved = json.loads((first / "checkpoint" / "state.json").read_text())["step"]
    assert 0 < saved < whole.steps
    bring(first, second)
    result = run(lab, second).train(report=told.append)
    assert told[0] == f"continuing {second} from step {saved}"
    assert (result.metrics, result.steps) == (whole.metrics, whole.steps)
    assert steps(second) == steps(tmp_path / "whole")
    after = {path.relative_to(first): path.read_bytes() for path in first.rglob("*") if path.is_file()}
    assert after == before  # who had it keeps what it has


def test_what_cannot_be_reached_begins_anew_and_what_is_there_stays(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "config.yaml").touch()
    for source in (None, tmp_path / "gone", own):
        bring(source, own)
        assert [path.name for path in own.iterdir()] == ["config.yaml"]
    bring(tmp_path / "gone", tmp_path / "new")
    assert not (tmp_path / "new").exists()
