"""How many cores a process may use, in a container too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nas.cores import usable_cores

BOUND = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
TOLD = {
    "150000 100000": 1,
    "20000 100000": 1,  # a fifth of a core is still one worker
    "max 100000": BOUND,
    "6400000000 100000": BOUND,
    "nonsense": BOUND,
}


@pytest.mark.parametrize(("text", "cores"), TOLD.items())
def test_the_quota_of_control_groups(text: str, cores: int, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize(("granted", "cores"), [(100_000, 1), (-1, BOUND)])
def test_the_quota_of_the_first_version(granted: int, cores: int, tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{granted}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == cores


def test_without_control_groups(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == BOUND
