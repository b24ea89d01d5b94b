"""Tiny searches in a folder of their own: real workers, real journals, trials of a tenth of a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.cli.app import run_command
from nas.cli.search import search
from nas.files import read_json

TINY = (
    "task=mqar", "task.seq_length=16", "task.validation_examples=64", "encoder.hidden_size=16",
    "encoder.num_heads=2", "trainer.steps=12", "trainer.batch_size=8", "tracker=none",
)  # fmt: skip
SLOTS = {"slots": 2, "choices": ["attn", "conv", "none"]}
RATE = {"low": 1e-3, "high": 1e-2, "log": True}


class Lab:
    """A folder for studies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outputs = folder / "outputs"
        self.paths = (f"paths.outputs={self.outputs}", f"paths.cache={folder / 'cache'}")

    def sweep(self, name: str, space: Any, **more: Any) -> str:
        """Write a sweep; return the override that chooses it."""
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps({**more, "space": space}))
        return f"sweep={path}"

    def overrides(self, *more: str) -> list[str]:
        """Return what a tiny search or run is made of."""
        return [*TINY, *self.paths, *more]

    def search(self, *more: str) -> int:
        """Search in this process, with real workers; return the exit code."""
        return run_command("search", search, self.overrides(*more))

    def rows(self, study: str) -> list[dict[str, Any]]:
        """Return a study's leaderboard."""
        rows: list[dict[str, Any]] = read_json(self.outputs / study / "leaderboard.json")
        return rows


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))
