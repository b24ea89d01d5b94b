"""``nas-search``: a study, from a sweep to its leaderboard and report."""

from __future__ import annotations

import sys

from nas.cli.app import DONE, import_torch, run_process
from nas.config.compose import Composed


def main() -> None:
    """Run the command and exit."""
    run_process("search", search)


def search(composed: Composed) -> int:
    """Search, or with ``dry_run=true`` tell what would be searched."""
    from nas.search.crew import warm_up

    if not composed.config.dry_run:
        warm_up()  # it imports PyTorch while this process does, and checks the plan
    import_torch()
    from nas.search.plan import plan_search
    from nas.search.run import search as run_search

    plan = plan_search(composed)
    if plan.config["dry_run"]:
        from nas.search.preview import preview

        preview(plan)
        return DONE
    folder = run_search(plan)
    _print_outcome(plan.question.objective, folder)
    return DONE


def _print_outcome(objective: str, folder: object) -> None:
    from pathlib import Path

    from rich.console import Console

    from nas.files import read_json
    from nas.search.display import leaderboard_table

    path = Path(str(folder))
    rows = read_json(path / "leaderboard.json")
    Console(width=None if sys.stdout.isatty() else 120).print(leaderboard_table(rows, objective))
    print(f"report: {path / 'report.html'}")
    if (path / "best.yaml").is_file():
        print(f"winner: nas-train experiment={path / 'best.yaml'}")
