"""Files that cannot grow, as on a disk that is full."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

LONGER = ("trainer.steps=30", "trainer.log_every=1", "trainer.checkpoint_seconds=0.01")


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
    assert len(told) == 1
    assert told[0].startswith(f"error: the run in {process.folder} cannot go on: [Errno 27]")
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
