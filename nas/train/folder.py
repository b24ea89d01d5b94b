"""The run folder: whose it is, the configuration that it is made from, and its name for trackers."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from nas.files import read_json, write_json, write_text

LOCK, CONFIG, OVERRIDES = ".lock", "config.yaml", "overrides.txt"
PLACES = ("paths", "tracker", "study")
"""Keys that say where a run is kept and shown."""
NOT_IDENTITY = (*PLACES, "checkpoint", "transfer")
"""Keys that change where a run is kept and shown, not what it computes; what a checkpoint holds is in
``starts_from``, wherever it lies."""
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the one in C takes a tenth of the time


def identity(config: dict[str, Any]) -> str:
    """Return a hash of all that decides a run's result: its resolved configuration."""
    decisive = {k: v for k, v in config.items() if k not in NOT_IDENTITY}
    text = json.dumps(decisive, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def study_mistakes(study: str | None) -> list[str]:
    """Say what is wrong with the name of a study: a path could lead out of ``paths.outputs``."""
    if study is None or (study not in ("", ".", "..") and Path(study).name == study):
        return []
    return [f"study={study!r} must be the name of a folder under paths.outputs"]


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
    write_text(folder / CONFIG, yaml.dump(config, Dumper=_DUMPER, sort_keys=False))
    write_text(folder / OVERRIDES, "".join(f"{line}\n" for line in overrides), durable=False)


def _owner(folder: Path) -> str | None:
    try:
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, UnicodeDecodeError):
        return "unreadable"
    return identity(config) if isinstance(config, dict) else "unreadable"


def tracker_id(folder: Path) -> str:
    """Return the tracker's id of a run: made once, kept in the folder, so that it can continue."""
    path = folder / "tracker.json"
    if not path.is_file():
        write_json(path, {"id": uuid.uuid4().hex[:12]}, durable=False)
    return str(read_json(path)["id"])
