"""``nas-report``: one static page for a study or for a folder of runs, made from files alone."""

from __future__ import annotations

from pathlib import Path

from nas.cli.app import DONE, run_process
from nas.config.compose import Composed
from nas.errors import InputError, nearest


def main() -> None:
    """Run the command and exit."""
    run_process("report", report)


def report(composed: Composed) -> int:
    """Write ``report.html`` into the folder and print its path."""
    from nas.report.read import is_study
    from nas.report.runs import write_runs_report
    from nas.report.study import write_study_report

    config = composed.values()
    folder = _find(config["study"], Path(config["paths"]["outputs"]).expanduser())
    print(write_study_report(folder) if is_study(folder) else write_runs_report(folder))
    return DONE


def _find(study: str, outputs: Path) -> Path:
    for folder in (outputs / study, Path(study).expanduser()):
        if folder.is_dir():
            return folder
    names = [f.name for f in outputs.iterdir() if f.is_dir()] if outputs.is_dir() else []
    raise InputError(
        f"study={study!r} is neither a folder nor one of {sorted(names)} in {outputs}{nearest(study, names)}"
    )
