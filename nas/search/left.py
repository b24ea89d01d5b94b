"""Trials that a dead supervisor left: one that is trained at several deaths in a row may cause them."""

from __future__ import annotations

from pathlib import Path

from optuna.trial import Trial

from nas.search.worker import BEGUN
from nas.train.checkpoint import FOLDER

LEFT = "left"
"""The user attribute of a trial that was in a worker's hands when its supervisor died: at how many such
deaths in a row, and when it was saved last before. Progress makes the next death the first one again."""


def deaths_in_a_row(trial: Trial, folder: Path) -> int:
    """Return at how many deaths of a supervisor in a row a trial was trained without being saved between.

    Call it once after taking a trial in hand; of one that nobody has left it is 0.

    Args:
        trial: in hand.
        folder: its run folder.
    """
    begun = folder / BEGUN
    if not begun.is_file():
        return 0
    begun.unlink()
    saved = max((path.stat().st_mtime_ns for path in folder.rglob(f"{FOLDER}/*")), default=0)
    before = trial.user_attrs.get(LEFT, {"deaths": 0, "saved": saved})
    deaths = 1 + (before["deaths"] if before["saved"] == saved else 0)
    trial.set_user_attr(LEFT, {"deaths": deaths, "saved": saved})
    return deaths
