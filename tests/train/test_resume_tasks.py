"""A killed run of every task continues to the same result, to the bit."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
APART = ("suite", "classification", "glue_")
"""Needs files of the user's, or is several runs: with tests of its own in tests/tasks."""
FILES = {p.stem: p for p in sorted((ROOT / "conf/task").glob("*.yaml")) if not p.stem.startswith(APART)}
TASKS = [name for name, path in FILES.items() if "\ndefaults:" not in path.read_text()]
SETTINGS = ("trainer.steps=40", "trainer.evaluate_at=[0.3,0.6]", "trainer.checkpoint_seconds=0.02")


def small(task: str) -> list[str]:
    """Return overrides that make a task's sets small."""
    text = FILES[task].read_text()
    counts = ("validation_examples", "validation_tokens")
    sizes = [f"task.{key}=64" for key in counts if f"\n{key}:" in text]
    fixed = "\ntrain_examples: " in text and "\ntrain_examples: null" not in text
    corpus = ["corpus.max_bytes=200000"] if "${corpus}" in text else []
    return [f"task={task}", *sizes, *(["task.train_examples=64"] if fixed else []), *corpus]


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_killed_and_continued(task: str, start: Any, read: Any, tmp_path: Path) -> None:
    rows, result = read
    settings = (*small(task), *SETTINGS)
    undisturbed = start(tmp_path / "whole", *settings)
    killed = start(tmp_path / "killed", *settings).until_rows(7).kill()
    assert killed.wait() == -signal.SIGKILL, killed.said
    again = start(tmp_path / "killed", *settings)
    assert undisturbed.wait() == 0, undisturbed.said
    assert again.wait() == 0, again.said
    assert "from step" in again.said
    assert rows(again.folder) == rows(undisturbed.folder)
    assert result(again.folder) == result(undisturbed.folder)
