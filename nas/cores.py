"""How many CPU cores this process may use: those it is bound to, and no more than its container's quota."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Return the number of cores, at least 1.

    A container (Docker's ``--cpus``, a limit of Kubernetes) sees every core of its machine, but is held
    back after its quota; as many processes as cores would only wait for each other there.

    Args:
        cgroup: where Linux tells the quota, of either version of control groups.
    """
    bound = getattr(os, "sched_getaffinity", None)  # macOS has none
    cores = len(bound(0)) if bound else os.cpu_count() or 1
    quota = _quota(cgroup)
    return cores if quota is None else max(1, min(cores, int(quota)))


def _quota(cgroup: Path) -> float | None:
    """Return how many cores' time is granted; None: no limit, or nobody tells."""
    with contextlib.suppress(OSError, ValueError):
        granted, period = (cgroup / "cpu.max").read_text().split()
        return None if granted == "max" else int(granted) / int(period)
    with contextlib.suppress(OSError, ValueError):
        granted_us = int((cgroup / "cpu" / "cpu.cfs_quota_us").read_text())
        return (
            None if granted_us < 0 else granted_us / int((cgroup / "cpu" / "cpu.cfs_period_us").read_text())
        )
    return None
