from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nas import provenance
from nas.provenance import git_state, versions


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init")
    (tmp_path / "file.txt").write_text("one")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


@pytest.fixture(autouse=True)
def fresh() -> None:
    git_state.cache_clear()


def test_versions() -> None:
    found = versions()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert set(found) >= {"nas", "numpy", "hydra-core", "optuna", "wandb", "tokenizers", "safetensors"}


def test_git_state_tells_commit_and_changes(repository: Path) -> None:
    clean = git_state(repository)
    assert clean is not None
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    git_state.cache_clear()
    (repository / "file.txt").write_text("two")
    assert git_state(repository) == {**clean, "dirty": True}


def test_untracked_files_do_not_count(repository: Path) -> None:
    (repository / "outputs.txt").write_text("x")
    state = git_state(repository)
    assert state is not None
    assert state["dirty"] is False


def test_outside_of_a_repository_there_is_no_state(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    assert git_state(tmp_path / "absent") is None


def test_an_environment_inside_a_repository_is_not_part_of_it(repository: Path) -> None:
    (repository / "venv" / "nas").mkdir(parents=True)
    assert git_state(repository / "venv" / "nas") is not None
    assert not provenance._is_tracked(repository / "venv" / "nas")
    assert provenance._is_tracked(repository)


def test_without_git_nothing_fails(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert git_state(repository) is None


def test_provenance_is_json_and_holds_the_seed_and_the_machine() -> None:
    found = provenance.provenance(7)
    assert json.loads(json.dumps(found)) == found
    assert found["seed"] == 7
    assert set(found) == {
        "created", "command", "seed", "versions", "git", "platform", "processor", "cores",
    }  # fmt: skip
    assert found["created"].endswith("+00:00")
