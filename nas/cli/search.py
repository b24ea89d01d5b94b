"""``nas-search``: a study, from a sweep to its leaderboard and report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nas.cli.app import DONE, import_torch, run_process
from nas.config.compose import Composed
from nas.errors import InputError
from nas.progress import output
from nas.search.launchers.local import warm_up
from nas.train.processes import launched

if TYPE_CHECKING:
    from nas.search.plan import Plan


def main() -> None:
    """Run the command and exit."""
    if _will_train(sys.argv[1:]):
        warm_up()  # it imports PyTorch while this process composes, does so too, and checks the plan
    run_process("search", search)


def _will_train(given: list[str]) -> bool:
    """Return whether arguments look as if workers of this machine will be needed."""
    other = ("-", "dry_run=", "launcher=")
    return not launched() and not any(argument.startswith(other) for argument in given)


def search(composed: Composed) -> int:
    """Search, or with ``dry_run=true`` tell what would be searched."""
    if launched():
        raise InputError("nas-search starts workers of its own (workers=...): start it without torchrun")
    import_torch()
    from nas.search.plan import plan_search
    from nas.search.run import search as run_search

    plan = plan_search(composed)
    if plan.config["dry_run"]:
        from nas.search.preview import preview

        preview(plan)
        return DONE
    folder = run_search(plan)
    _print_outcome(plan, folder)
    return DONE


def _print_outcome(plan: Plan, folder: Path) -> None:
    from nas.files import read_json
    from nas.search.display import leaderboard_table
    from nas.search.winner import command

    objectives = plan.question.objectives
    rows = read_json(folder / "leaderboard.json")
    output(120).print(leaderboard_table(rows, objectives))
    for remark in read_json(folder / "study.json").get("remarks", ()):
        print(remark)
    print(f"report: {folder / 'report.html'}")
    several = len(objectives) > 1
    if (folder / "best.yaml").is_file():
        print(f"{'knee' if several else 'winner'}: {command(str(folder / 'best.yaml'), plan.composed)}")
    if several and (folder / "front").is_dir():
        print(f"any of the front: {command(str(folder / 'front'), plan.composed)}/<trial>.yaml")
