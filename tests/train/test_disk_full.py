"""Files that cannot grow, as on a disk that is full."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.errors import NasError
from nas.train import checkpoint
from nas.train.result import RunResult

LONGER = ("trainer.steps=30", "trainer.log_every=1", "trainer.checkpoint_seconds=0.01")


def full(*arguments: Any) -> Any:
    raise OSError(28, "No space left on device")


@pytest.mark.slow  # mounts and fills a disk
def test_a_checkpoint_that_does_not_fit_costs_a_warning(start: Any, read: Any, tmp_path: Path) -> None:
    # more than every other file, less than the optimizer's moments
    process = start(tmp_path / "full" / "outputs", *LONGER, "trainer.log_every=10", limit=20_000)
    assert process.wait() == 0, process.said
    assert process.said.count("warning: no checkpoint written in") == 1
    assert not list(process.folder.glob("*checkpoint*"))
    free = start(tmp_path / "free" / "outputs", *LONGER, "trainer.log_every=10")
    assert free.wait() == 0
    assert read[1](process.folder) == read[1](free.folder)


@pytest.mark.slow  # processes that fill a file
def test_a_metrics_file_that_cannot_grow_ends_the_run_and_keeps_the_checkpoint(
    start: Any, tmp_path: Path, read: Any
) -> None:
    outputs = tmp_path / "outputs"
    rows = 10**4
    more = (f"trainer.steps={rows}", "trainer.log_every=1", "trainer.checkpoint_seconds=0.05")
    process = start(outputs, *more, limit=64_000)
    assert process.wait() == 1, process.said
    told = process.said.strip().splitlines()
    assert len([line for line in told if not line.startswith("device ")]) == 1
    assert told[-1].startswith(f"error: the run in {process.folder} cannot go on: [Errno 27]")
    assert not (process.folder / "result.json").exists()
    saved = json.loads((process.folder / "checkpoint" / "state.json").read_text())["step"]
    assert saved > 0
    metrics = process.folder / "metrics.jsonl"
    before = metrics.stat().st_ino
    again = start(outputs, *more).until(lambda: metrics.stat().st_ino != before)
    assert again.kill(signal.SIGTERM).wait() == 130, again.said
    assert f"from step {saved}" in again.said
    steps = [row["step"] for row in read[0](again.folder)]
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.slow
def test_a_result_that_cannot_be_written_is_written_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any, read: Any
) -> None:
    run = make()
    monkeypatch.setattr(RunResult, "write", full)
    with pytest.raises(NasError, match=r"cannot go on: \[Errno 28\] No space left on device"):
        run.train(report=lambda line: None)
    monkeypatch.undo()
    left = {path.name for path in run.folder.iterdir()}
    assert "result.json" not in left
    assert not [name for name in left if name.startswith(".") and name != ".lock"]
    again = make()
    assert again.train(report=lambda line: None).steps == 30
    whole = make(outputs=tmp_path / "whole")
    whole.train(report=lambda line: None)
    assert read[0](again.folder) == read[0](whole.folder)
    assert read[1](again.folder) == read[1](whole.folder)


@pytest.mark.parametrize("name", ["about.json", "state.json", "manifest.json"])
def test_a_file_of_a_checkpoint_that_does_not_fit_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    checkpoint.save(tmp_path, model, optimizer, {"architecture_hash": "abc", "step": 1})
    write = Path.write_text

    def write_or_fail(self: Path, *arguments: Any, **more: Any) -> int:
        return full() if self.name == name else write(self, *arguments, **more)

    monkeypatch.setattr(Path, "write_text", write_or_fail)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(tmp_path, model, optimizer, {"architecture_hash": "abc", "step": 2})
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    found = checkpoint.load(tmp_path, model, optimizer, "abc")
    assert found is not None
    assert found["step"] == 1
