"""The front of several objectives: its members, its knee, how it grew, and the section that tells it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from nas.report.front import find_front, sentences
from nas.report.front_plots import fronts, growth
from nas.report.read import read_study
from nas.report.study import render_study
from nas.report.tables import leaderboard

NAMES = ["val/loss", "val/accuracy", "latency_ms"]


def study(folder: Path, *values: tuple[float, ...], **told: Any) -> Path:
    """Write a study of trials with these values."""
    names = NAMES[: len(values[0])]
    rows = [
        {"number": n, "state": "COMPLETE", "value": row[0], "values": dict(zip(names, row, strict=True)),
         "architecture": f"a{n}", "reason": None}
        for n, row in enumerate(values)
    ]  # fmt: skip
    more = [{"number": len(rows), "state": "FAIL", "value": None, "values": None, "reason": "diverged"},
            {"number": len(rows) + 1, "state": "PAUSED", "value": 0.1,
             "values": dict.fromkeys(names, 0.1), "reason": "paused at 25 %"}]  # fmt: skip
    directions = ["minimize", "maximize", "minimize"][: len(names)]
    folder.mkdir()
    asked = {"study": "s", "objective": names, "direction": directions, **told}
    (folder / "study.json").write_text(json.dumps(asked))
    (folder / "leaderboard.json").write_text(json.dumps([*rows, *more]))
    return folder


TWO = [(3.0, 0.1), (2.0, 0.3), (1.0, 0.2), (1.5, 0.29), (2.5, 0.28), (1.0, 0.2)]


def test_members_come_along_the_first_objective_each_once(tmp_path: Path) -> None:
    front = find_front(read_study(study(tmp_path / "s", *TWO)))
    assert front is not None
    assert [trial.number for trial in front.members] == [2, 3, 1]
    assert front.knee.number == 3
    assert front.count == 6
    assert front.reference == pytest.approx((2.1, 0.19))
    shares = [share for _, share in front.growth]
    assert shares == sorted(shares)
    assert shares[0] == 0.0  # beyond the reference point
    assert 0 < shares[1] < front.hypervolume < 1
    assert shares[4:] == [front.hypervolume] * 2


def test_of_one_objective_or_without_a_result_there_is_none(tmp_path: Path) -> None:
    assert find_front(read_study(study(tmp_path / "one", (1.0,)))) is None
    empty = study(tmp_path / "none", *TWO)
    (empty / "leaderboard.json").write_text("[]")
    assert find_front(read_study(empty)) is None
    assert "No result yet" in render_study(empty)


@pytest.mark.parametrize("values", [[(1.0, 0.5, 3.0)], [(1.0, 0.5, 3.0), (0.5, 0.4, 9.0), (2.0, 0.6, 1.0)]])
def test_three_objectives_have_a_plot_for_each_further_one(
    tmp_path: Path, values: list[tuple[float, ...]]
) -> None:
    told = read_study(study(tmp_path / "s", *values))
    front = find_front(told)
    assert front is not None
    plots = fronts(told, front)
    assert [other.name for other, _ in plots] == NAMES[1:]
    for _, plot in plots:
        drawn = ElementTree.fromstring(plot)
        titles = [node.text or "" for node in drawn.iter("title")]
        assert len(titles) == len(values)
        assert all("latency_ms" in title for title in titles)
        assert sum(title.startswith("knee: ") for title in titles) == 1
    assert (growth(front) == "") == (len(values) == 1)


def test_the_page_tells_the_front_and_every_trial(tmp_path: Path) -> None:
    folder = study(tmp_path / "s", *TWO)
    page = render_study(folder)
    assert "The Pareto front: 3 of 6 trained trials" in page
    assert "the knee, trial 3" in page
    assert "Hypervolume" in page
    assert "The winner" not in page
    told = read_study(folder)
    front = find_front(told)
    assert front is not None
    rows = leaderboard(told, front)
    assert [row.place for row in rows] == ["", "front", "front", "knee", "", "", "", ""]
    assert rows[0].values_shown == (3.0, 0.1)
    assert len(sentences(told, front)) == 4


def test_a_row_without_a_number_is_no_member(tmp_path: Path) -> None:
    folder = study(tmp_path / "s", *TWO)
    rows = json.loads((folder / "leaderboard.json").read_text())
    rows[2]["values"]["val/accuracy"] = None
    (folder / "leaderboard.json").write_text(json.dumps(rows))
    front = find_front(read_study(folder))
    assert front is not None
    assert [trial.number for trial in front.members] == [5, 3, 1]
    render_study(folder)
