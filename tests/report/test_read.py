from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.errors import InputError
from nas.report.read import number, read_curve, read_run, read_study
from nas.report.tables import slots_of


def test_trials_come_best_first_whatever_the_file_s_order(make_study) -> None:
    folder = make_study(30)
    rows = json.loads((folder / "leaderboard.json").read_text())
    (folder / "leaderboard.json").write_text(json.dumps(rows[::-1]))
    study = read_study(folder)
    assert [trial.number for trial in study.trials[:5]] == [row["number"] for row in rows[:5]]
    assert [trial.state for trial in study.trials] == sorted(
        (trial.state for trial in study.trials), key=["COMPLETE", "PRUNED", "RUNNING", "FAIL"].index
    )


def test_the_direction_decides_what_is_best(make_study) -> None:
    study = read_study(make_study(20, direction="maximize"))
    values = [trial.value for trial in study.measured]
    assert values == sorted(values, reverse=True)


def test_a_repeated_trial_is_not_counted_as_measured(make_study) -> None:
    folder = make_study(10)
    rows = json.loads((folder / "leaderboard.json").read_text())
    rows.append({**rows[0], "number": 99, "reason": f"same as trial {rows[0]['number']}"})
    (folder / "leaderboard.json").write_text(json.dumps(rows))
    study = read_study(folder)
    (twin,) = [trial for trial in study.trials if trial.number == 99]
    assert twin.description == study.trials[0].description
    assert 99 not in [trial.number for trial in study.measured]


def test_broken_rows_and_files_of_trials_are_left_out(make_study) -> None:
    folder = make_study(10)
    rows = json.loads((folder / "leaderboard.json").read_text())
    first = rows[0]["number"]
    (folder / "trials" / str(first) / "architecture.json").write_text('{"slots": [')
    text = json.dumps([*rows, None, 3, {}, {"number": 77, "state": "COMPLETE", "value": float("nan")}])
    (folder / "leaderboard.json").write_text(text)
    study = read_study(folder)
    assert len(study.trials) == len(rows) + 2
    (trial,) = [trial for trial in study.trials if trial.number == first]
    assert trial.description is None
    assert [slot["label"] for slot in slots_of(trial, {})] == trial.architecture.split("-")
    assert 77 not in [trial.number for trial in study.measured]


def test_curves_survive_half_written_lines_and_odd_values(tmp_path: Path) -> None:
    lines = [
        '{"step": 20, "x": 2.0}',
        '{"step": 10, "x": 3.0}',
        '{"step": 20, "x": 1.5}',
        '{"step": 30, "x": NaN}',
    ]
    lines += [
        '{"step": 40, "x": null}',
        '{"x": 1.0}',
        "[1]",
        '{"step": 50, "y": 1.0}',
        '{"step": 60, "x": 1.',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    assert read_curve(tmp_path, "x") == [(10, 3.0), (20, 1.5)]
    assert read_curve(tmp_path / "absent", "x") == []


def test_a_string_tells_of_modules_used_again(tmp_path: Path, make_run) -> None:
    make_run(tmp_path / "a", ["mha"], 3.0, architecture="mha-layer*3-=mha-new-mha-=mha")
    (tmp_path / "a" / "architecture.json").unlink()
    slots = slots_of(read_run(tmp_path / "a", "a"), {"mha": "attention"})
    assert [slot["label"] for slot in slots] == ["mha", "layer", "layer", "layer", "mha", "new", "mha", "mha"]
    assert [slot["shared_with"] for slot in slots] == [None, None, 1, 1, 0, None, None, 6]
    assert [slot["role"] for slot in slots] == [
        "attention",
        "",
        "",
        "",
        "attention",
        "",
        "attention",
        "attention",
    ]


@pytest.mark.parametrize("value", [None, True, "1", float("nan"), float("inf"), []])
def test_only_finite_numbers_are_numbers(value: object) -> None:
    assert number(value) is None


def test_a_run_without_a_result_is_not_finished(tmp_path: Path, make_run) -> None:
    make_run(tmp_path / "a", ["mha", "conv"], 3.0)
    (tmp_path / "a" / "result.json").unlink()
    run = read_run(tmp_path / "a", "a")
    assert run.status == "not finished"
    assert run.architecture == "mha-conv"
    assert run.parameters


def test_what_is_no_study_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent' does not exist"):
        read_study(tmp_path / "absent")
    with pytest.raises(InputError, match=r"is not a study.*study\.json"):
        read_study(tmp_path)
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(InputError, match=r"study\.json must hold JSON"):
        read_study(tmp_path)
    (tmp_path / "study.json").write_text("[]")
    with pytest.raises(InputError, match="must hold a JSON object"):
        read_study(tmp_path)
