from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from nas.report.axes import scale
from nas.report.compare import compare
from nas.report.plots import history, learning_curves, size_scatter
from nas.report.read import read_study


def marks(picture: str, kind: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(picture).iter() if e.attrib.get("class") == kind]


@pytest.mark.parametrize("values", [[0.0], [3.1, 3.2], [-5.0, 1e9], [1e-9, 2e-9], [7.0, 7.0]])
@pytest.mark.parametrize("log", [False, True])
def test_a_scale_holds_its_values_and_has_round_ticks(values: list[float], log: bool) -> None:
    found = scale(values, 0, 100, log=log)
    assert all(0 < found(value) < 100 for value in values)
    assert found(found.low) == pytest.approx(0)
    assert found(1e300) == pytest.approx(100)
    assert 1 <= len(found.ticks()) <= 45
    room = 1e-9 * (found.high - found.low)
    assert all(found.low - room <= tick <= found.high + room for tick in found.ticks())


def test_the_history_marks_every_trial_once(make_study) -> None:
    study = read_study(make_study(40))
    picture = history(study)
    assert len(marks(picture, "done")) == len(study.measured)
    for state, kind in (("PRUNED", "pruned"), ("FAIL", "failed")):
        assert len(marks(picture, kind)) == sum(trial.state == state for trial in study.trials)
    assert len(marks(picture, "best")) == 1


def test_an_outlier_does_not_press_the_rest_together(make_study) -> None:
    folder = make_study(40)
    rows = json.loads((folder / "leaderboard.json").read_text())
    rows.append({**rows[0], "number": 40, "value": 900.0})
    (folder / "leaderboard.json").write_text(json.dumps(rows))
    picture = history(read_study(folder))
    ticks = [e.text for e in marks(picture, "tick")]
    assert "900" not in ticks
    assert "3.2" in ticks
    assert "off the scale" in picture


def test_the_scatter_names_the_winner_and_its_comparisons(make_study) -> None:
    study = read_study(make_study(40))
    picture = size_scatter(study, compare(study))
    assert len(marks(picture, "winner")) == 1
    assert len(marks(picture, "band")) == 1
    told = {e[0].text.split(":")[0] for e in marks(picture, "named")}
    assert {"median trial", "largest"} <= told


def test_curves_are_thinned_to_their_last_point() -> None:
    long = [(float(step), 5.0 - step / 1e4) for step in range(10_001)]
    picture = learning_curves({"<winner>": long, "other": long[:3]}, "val/loss")
    (line,) = [e for e in ElementTree.fromstring(picture).iter() if e.attrib.get("class") == "curve first"]
    assert line[0].text == "<winner>"
    assert 150 < line[1].attrib["d"].count("L") < 210
    assert len(picture) < 20_000


def test_without_points_there_is_no_plot(make_study) -> None:
    study = read_study(make_study(0))
    assert history(study) == ""
    assert learning_curves({"a": []}, "val/loss") == ""
