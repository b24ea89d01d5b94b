from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import InputError
from nas.report.runs import render_runs, write_runs_report


def test_runs_are_grouped_by_task_and_ordered_by_loss(tmp_path: Path, make_run) -> None:
    for name, value in (("a", 3.2), ("b", 3.0), ("c", 3.1)):
        make_run(tmp_path / "bert" / name, ["mha", "geglu"], value)
    make_run(tmp_path / "single", ["conv"], 1.0, task="mqar")
    text = write_runs_report(tmp_path).read_text()
    places = [text.index(f">{name}<") for name in ("mlm", "bert/b", "bert/c", "bert/a", "mqar", "single")]
    assert places == sorted(places)


def test_runs_that_did_not_end_well_stand_last_with_their_reason(tmp_path: Path, make_run) -> None:
    make_run(tmp_path / "bad", ["mha"], 2.0, status="diverged", reason="loss is <NaN>")
    make_run(tmp_path / "good", ["mha"], 3.0)
    make_run(tmp_path / "running", ["mha"], 3.0)
    (tmp_path / "running" / "result.json").unlink()
    text = render_runs(tmp_path)
    assert text.index(">good<") < text.index(">bad<")
    assert "loss is &lt;NaN&gt;" in text
    assert "not finished" in text


def test_without_a_loss_a_higher_metric_is_better(tmp_path: Path, make_run) -> None:
    for name, accuracy in (("a", 0.1), ("b", 0.9)):
        make_run(tmp_path / name, ["mha"], 3.0, metrics={"val/accuracy": accuracy})
    text = render_runs(tmp_path)
    assert text.index(">b<") < text.index(">a<")


def test_a_suite_shows_its_scores_and_its_members_have_tables_of_their_own(tmp_path: Path, make_run) -> None:
    for name, score in (("a", 0.1), ("b", 0.9)):
        metrics = {"val/score": score, "mqar/score": score, "mqar/val/loss": 1 - score}
        make_run(tmp_path / name, ["mha"], 3.0, task="suite", metrics=metrics)
        make_run(tmp_path / name / "tasks" / "mqar", ["mha"], 3.0, task="mqar")
    text = render_runs(tmp_path)
    assert text.index(">b<") < text.index(">a<")
    assert ">val/score<" in text
    assert ">mqar/score<" in text
    assert ">mqar/val/loss<" not in text
    alone = render_runs(tmp_path / "a")
    assert alone.index('id="task-1">mqar<') < alone.index(">tasks/mqar<") < alone.index('id="task-2">suite<')


def test_a_run_folder_by_itself_has_a_page(tmp_path: Path, make_run) -> None:
    make_run(tmp_path / "one", ["mha"], 3.0)
    assert "3.0000" in render_runs(tmp_path / "one")


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        write_runs_report(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        render_runs(tmp_path / "absent")
