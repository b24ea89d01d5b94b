"""The run folder: whose it is, and the configuration that it is made from."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from nas.files import write_text

LOCK, CONFIG, OVERRIDES = ".lock", "config.yaml", "overrides.txt"
NOT_IDENTITY = ("paths", "tracker", "study")
"""Keys that change where a run is kept and shown, not what it computes."""


def identity(config: dict[str, Any]) -> str:
    """Return a hash of all that decides a run's result: its resolved configuration."""
    decisive = {k: v for k, v in config.items() if k not in NOT_IDENTITY}
    text = json.dumps(decisive, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def claim(folder: Path, config: dict[str, Any], overrides: Iterable[str]) -> None:
    """Write ``config.yaml`` and ``overrides.txt``; what another configuration left there is removed.

    Such a folder is a trial's of an earlier study of this name, whose journal is gone. The caller
    holds the folder's lock.
    """
    if _owner(folder) not in (None, identity(config)):
        for left in folder.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            elif left.name != LOCK:
                left.unlink()
    write_text(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))
    write_text(folder / OVERRIDES, "".join(f"{line}\n" for line in overrides))


def _owner(folder: Path) -> str | None:
    try:
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, UnicodeDecodeError):
        return "unreadable"
    return identity(config) if isinstance(config, dict) else "unreadable"
