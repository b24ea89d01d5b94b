"""The report of a study: one self-contained page made from the files of its folder."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.drawing.picture import drawing
from nas.files import write_text
from nas.report import front_plots, plots, tables
from nas.report.compare import Comparison, compare
from nas.report.evidence import answers_for
from nas.report.found import STATES, Curve, Study, Trial
from nas.report.front import find_front, sentences
from nas.report.marks import symbol
from nas.report.members import member_scores
from nas.report.page import render, shown_path
from nas.report.read import read_curve, read_study
from nas.report.words import findings, state_word

FILE = "report.html"
_MOST_CURVES = 10


def write_study_report(folder: Path) -> Path:
    """Write ``report.html`` into a study's folder, and return its path.

    Raises:
        InputError: the folder does not exist or is not a study.
    """
    page = render_study(folder)
    path = folder / FILE
    write_text(path, page)
    return path


def render_study(folder: Path) -> str:
    """Return the report of a study as HTML; a study that still runs, or has no result yet, has one too.

    Raises:
        InputError: the folder does not exist or is not a study.
    """
    study = read_study(folder)
    front = find_front(study)
    found = None if study.several else compare(study)
    curves, metric = _curves(study)
    return render(
        "study.jinja",
        study=study,
        counts=_counts(study),
        about=_about(study),
        command=_command(folder),
        found=found,
        findings=[*findings(study, found), *study.remarks] if found else [],
        winner_drawing=_drawing(front.knee if front else found.winner if found else None),
        front=front,
        front_sentences=[*sentences(study, front), *study.remarks] if front else [],
        front_rows=list(zip(front.members, tables.pictures(front.members), strict=True)) if front else [],
        front_plots=front_plots.fronts(study, front) if front else [],
        growth=front_plots.growth(front) if front else "",
        legend=tables.legend(study.trials),
        pictures=_compared_pictures(found),
        history="" if study.several else plots.history(study),
        scatter=plots.size_scatter(study, found) if found else "",
        curves=plots.learning_curves(curves, metric),
        curve_metric=metric,
        curve_trials=study.measured[:_MOST_CURVES],
        symbol=symbol,
        rows=tables.leaderboard(study, front),
        blocks=tables.blocks_by_position(study),
        failures=tables.failures(study),
        members=member_scores(study),
        answers=answers_for(study.name, study.overrides),
    )


def _counts(study: Study) -> list[tuple[str, int]]:
    """Return how many trials are in each state, the states that occur only."""
    words = Counter(state_word(trial) for trial in sorted(study.trials, key=_state_order))
    return list(words.items())


def _state_order(trial: Trial) -> tuple[int, bool]:
    return STATES.index(trial.state) if trial.state in STATES else len(STATES), trial.repeated


def _about(study: Study) -> list[tuple[str, str]]:
    """Return what is known of how the study was run, as names and texts."""
    told = {**study.facts, **flat(study.provenance)}
    return [(key, _listed(value)) for key, value in told.items() if value not in (None, "", [])]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings under dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def _listed(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _command(folder: Path) -> str:
    """Return the command that trains the winner, with the flags that its file names."""
    path, told = folder / "best.yaml", "# nas-train "
    if not path.is_file():
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    named = next(
        (line.removeprefix("# ") for line in lines if line.startswith(told)), "nas-train experiment="
    )
    return f"{named.rpartition(' experiment=')[0]} experiment={shlex.quote(shown_path(path))}"


def _drawing(trial: Trial | None) -> str:
    return drawing(trial.description) if trial is not None and trial.description is not None else ""


def _compared_pictures(found: Comparison | None) -> list[str]:
    """Return the strips of the winner and of the trials in the comparison's table."""
    if found is None:
        return []
    return tables.pictures([found.winner, *(row.trial for row in found.against)])


def _curves(study: Study) -> tuple[dict[str, Curve], str]:
    """Return the best trials' curves of the objective, or of the training loss where that says more."""
    best = study.measured[:_MOST_CURVES]
    for metric in (study.objective, "val/loss", "train/loss"):
        curves = {
            _curve_name(rank, trial): read_curve(trial.folder, metric) for rank, trial in enumerate(best, 1)
        }
        if any(len(curve) > 1 for curve in curves.values()):
            return {name: curve for name, curve in curves.items() if curve}, metric
    return {}, study.objective


def _curve_name(rank: int, trial: Trial) -> str:
    return f"rank {rank} · trial {trial.number} · {trial.label}"
