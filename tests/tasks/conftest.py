"""Small real tasks, built from the project's own YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

CONF = Path(__file__).resolve().parents[2] / "conf"


MOST = {"train_examples": 2048, "validation_examples": 256}
"""Published sizes take seconds to make."""
SMALLER = {
    "grid_sudoku9": {"givens": 40, "train_examples": 64, "validation_examples": 64},
    "pcfg_deep": {"validation_examples": 32},
}
"""And some longer."""


def composed(path: Path) -> Any:
    """Return a file's values with those of the files beside it that its defaults list names."""
    cfg: Any = OmegaConf.load(path)
    parents = [name for name in cfg.pop("defaults", []) if isinstance(name, str) and name != "_self_"]
    return OmegaConf.merge(*(composed(path.with_name(f"{name}.yaml")) for name in parents), cfg)


def build_task(name: str, **changes: Any) -> Any:
    """Build ``conf/task/<name>.yaml`` on a small part of the standard library, as bytes."""
    cfg = OmegaConf.create(
        {
            "corpus": OmegaConf.load(CONF / "corpus/stdlib.yaml"),
            "tokenizer": OmegaConf.load(CONF / "tokenizer/bytes.yaml"),
            "task": composed(CONF / f"task/{name}.yaml"),
        }
    )
    cfg.corpus.max_bytes = 400_000
    for key, most in MOST.items():
        if cfg.task.get(key) is not None:
            cfg.task[key] = min(cfg.task[key], most)
    cfg.task.update(SMALLER.get(name, {}))
    cfg.task.update(changes)
    return instantiate(cfg.task, _convert_="all")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of prepared text for all tests that only read it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def make_task(cache: Path) -> Any:
    """Build a task from its YAML and prepare it."""

    def make(name: str, **changes: Any) -> Any:
        task = build_task(name, **changes)
        task.prepare(cache, lambda line: None)
        return task

    return make
