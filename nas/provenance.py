"""Where a result comes from: code, versions, machine and seed."""

from __future__ import annotations

import datetime
import functools
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGES = (
    "nas",
    "torch",
    "numpy",
    "hydra-core",
    "omegaconf",
    "optuna",
    "wandb",
    "tokenizers",
    "safetensors",
)


def changed_data(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the keys in which data differs from what a file tells of it, as JSON holds both."""
    there = json.loads(json.dumps(now))
    return [key for key in {**before, **there} if before.get(key) != there.get(key)]


def now() -> str:
    """Return the time in UTC, ISO 8601, whole seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


@functools.cache
def git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit and dirtiness of the repository that holds ``folder``; None outside of one."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(changes)}


@functools.cache
def _is_tracked(folder: Path) -> bool:
    """Return whether the files are part of a repository; an environment inside one is only near it."""
    try:
        return bool(_git(folder, "ls-files", "--", "."))
    except (OSError, subprocess.SubprocessError):
        return False


def _git(folder: Path, *arguments: str) -> str:
    # Without the option, `git status` locks the index: a kill would leave the user's repository locked.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    return done.stdout.strip()


def provenance(seed: int) -> dict[str, Any]:
    """Return all that is needed to judge whether a result can be reproduced here."""
    package = Path(__file__).parent
    return {
        "created": now(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "seed": seed,
        "versions": versions(),
        "git": {
            "nas": git_state(package) if _is_tracked(package) else None,
            "working_folder": git_state(Path.cwd()),
        },
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
