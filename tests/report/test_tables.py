from __future__ import annotations

import json
import shutil
from xml.etree import ElementTree

import pytest

from nas.report.read import read_study
from nas.report.tables import blocks_by_position, failures, leaderboard


def test_ranks_and_differences_are_for_measured_trials(make_study) -> None:
    study = read_study(make_study(40))
    rows = leaderboard(study)
    ranked = [row for row in rows if row.rank is not None]
    assert [row.rank for row in ranked] == list(range(1, len(study.measured) + 1))
    assert ranked[0].to_best == 0
    assert ranked[1].to_best == pytest.approx(ranked[1].trial.value - ranked[0].trial.value)
    assert all(row.to_best is None for row in rows if row.trial.state != "COMPLETE")


def test_a_trial_without_a_run_folder_takes_its_colours_from_the_others(make_study) -> None:
    rows = leaderboard(read_study(make_study(40)))
    (pruned, *_) = [row for row in rows if row.trial.state == "PRUNED"]
    assert pruned.trial.description is None
    svg = "{http://www.w3.org/2000/svg}"
    labels = [e.text for e in ElementTree.fromstring(pruned.picture).iter(f"{svg}text")]
    assert labels == pruned.trial.architecture.split("-")
    assert "#b9c3cd" not in pruned.picture


def test_the_mean_by_position_is_over_measured_trials(make_study) -> None:
    study = read_study(make_study(40))
    rows = {row.label: row for row in blocks_by_position(study)}
    assert sum(row.cells[0].count for row in rows.values() if row.cells[0]) == len(study.measured)
    have = [t.value for t in study.measured if t.description["slots"][2]["label"] == "mha"]
    assert rows["mha"].cells[2].count == len(have)
    assert rows["mha"].cells[2].mean == pytest.approx(sum(have) / len(have))
    shades = [cell.shade for row in rows.values() for cell in row.cells if cell]
    assert min(shades) == 0
    assert max(shades) == 1


def test_positions_are_taken_from_descriptions_only(make_study) -> None:
    folder = make_study(40)
    shutil.rmtree(folder / "trials")
    assert blocks_by_position(read_study(folder)) == []


def test_failures_are_gathered_by_reason(make_study) -> None:
    folder = make_study(40)
    rows = json.loads((folder / "leaderboard.json").read_text())
    rows.append({"number": 50, "state": "FAIL", "reason": None})
    (folder / "leaderboard.json").write_text(json.dumps(rows))
    found = failures(read_study(folder))
    assert found[0][0].startswith("diverged")
    assert len(found[0][1]) == sum(row["state"] == "FAIL" for row in rows) - 1
    assert found[1] == ("no reason recorded", [50])
