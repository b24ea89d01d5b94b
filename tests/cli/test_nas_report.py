"""``nas-report``: a page for a folder of runs; a folder that is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.cli.app import DONE, WRONG_INPUT
from nas.cli.report import report
from nas.cli.train import train


def test_a_folder_of_runs(command: Any, tiny: tuple[str, ...], tmp_path: Path) -> None:
    trained = command("train", train, "-m", *tiny, "paths.cache=cache", "study=pair", "seed=1,2")
    assert trained.code == DONE, trained.err
    by_name = command("report", report, "study=pair")
    assert by_name.code == DONE, by_name.err
    page = Path(by_name.out.strip())
    assert page == Path("outputs/pair/report.html")
    text = (tmp_path / page).read_text()
    assert "mha-geglu" in text
    assert "<html" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    by_path = command("report", report, f"study={tmp_path / 'outputs' / 'pair'}")
    assert by_path.code == DONE
    assert Path(by_path.out.strip()) == tmp_path / page


def test_a_missing_folder_offers_the_nearest(command: Any, tmp_path: Path) -> None:
    (tmp_path / "outputs" / "layer_choice").mkdir(parents=True)
    outcome = command("report", report, "study=layer_choise")
    assert outcome.code == WRONG_INPUT
    assert outcome.err == (
        "error: study='layer_choise' is neither a folder nor one of ['layer_choice'] in outputs; "
        "did you mean 'layer_choice'?\n"
    )


def test_a_folder_without_runs(command: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = command("report", report, "study=empty")
    assert outcome.code == WRONG_INPUT
    assert len(outcome.err.splitlines()) == 1
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_missing_study_is_asked_for(command: Any) -> None:
    outcome = command("report", report)
    assert (outcome.code, outcome.err) == (WRONG_INPUT, "error: study is required: add study=...\n")


def test_the_command(shell: Any, tmp_path: Path) -> None:
    outcome = shell("nas-report", "study=nothing", folder=tmp_path)
    assert outcome.code == WRONG_INPUT
    assert "is neither a folder nor one of [] in outputs" in outcome.err
