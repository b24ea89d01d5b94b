"""The names under which files stand within groups: made of paths and contents, and offered to nobody."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path


def name_of_file(path: Path, text: str) -> str:
    """Return the name of an absolute path and what stands in its file, in letters that Hydra reads."""
    # a letter first: Hydra takes 8_29668804 for a number; and it reads no letters beyond ASCII
    stem = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    return f"file_{stem}_{hashlib.sha256(f'{path} {text}'.encode()).hexdigest()[:8]}"


def stands_for_file(name: str) -> bool:
    """Return whether a name within a group is such a one."""
    return re.fullmatch(r"file_\w*_[0-9a-f]{8}", name) is not None
