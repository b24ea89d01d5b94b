"""``nas-report``: one static page for a study or for a folder of runs, made from files alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.cli.app import DONE, run_process
from nas.config.compose import Composed
from nas.errors import InputError, nearest
from nas.progress import output

if TYPE_CHECKING:
    from nas.search.storages.sqlite import SQLite


def main() -> None:
    """Run the command and exit."""
    run_process("report", report)


def report(composed: Composed) -> int:
    """Write ``report.html`` into the folder and print its path."""
    from nas.report.read import is_study
    from nas.report.runs import write_runs_report
    from nas.report.study import write_study_report

    config = composed.values()
    outputs, study = Path(config["paths"]["outputs"]).expanduser(), config["study"]
    database = _database(config)
    if database is not None:
        folder = _read(database, study if database.path != study else None, outputs)
    elif study is None:
        raise InputError("study is required: add study=...")
    else:
        folder = _find(study, outputs)
    print(write_study_report(folder) if is_study(folder) else write_runs_report(folder))
    return DONE


def _database(config: dict[str, Any]) -> SQLite | None:
    """Return the SQLite file that the study is in: the storage's, or the study itself."""
    study: str | None = config["study"]
    if config["storage"] is None and not _is_file(study):
        return None
    from nas.config.instantiate import instantiate_node
    from nas.search.storages.sqlite import SQLite

    if config["storage"] is None:
        return SQLite(study)
    storage = instantiate_node("storage", config["storage"])
    if not isinstance(storage, SQLite):
        raise InputError(
            "storage is for studies that another program has left: storage=sqlite storage.path=old.db; "
            "those of nas-search have a folder, study=NAME"
        )
    if storage.path is None and study is None:
        raise InputError("storage.path is required: add storage.path=..., an SQLite file")
    return storage if storage.path is not None else SQLite(study)


def _is_file(study: str | None) -> bool:
    if study is None:
        return False
    return study.startswith("sqlite:") or Path(study).expanduser().is_file()


def _read(database: SQLite, study: str | None, outputs: Path) -> Path:
    """Write the files of a study that is in an SQLite file, show its leaderboard, and return its folder."""
    import optuna

    from nas.search.display import leaderboard_table
    from nas.search.storages.sqlite import file_of
    from nas.search.visitor import folder_of, write_visitor

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with database.study(study) as found:
        folder = outputs / folder_of(found.study_name)
        rows, objectives = write_visitor(found, folder, file_of(database.path or ""))
    output(120).print(leaderboard_table(rows, objectives))
    return folder


def _find(study: str, outputs: Path) -> Path:
    for folder in (outputs / study, Path(study).expanduser()):
        if folder.is_dir():
            return folder
    names = [f.name for f in outputs.iterdir() if f.is_dir()] if outputs.is_dir() else []
    raise InputError(
        f"study={study!r} is neither a folder nor one of {sorted(names)} in {outputs}{nearest(study, names)}"
    )
