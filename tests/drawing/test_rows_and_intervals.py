"""Pictures of rows and of intervals: whole SVG, every text escaped, answers where they are asked."""

from __future__ import annotations

from xml.etree import ElementTree

from nas.drawing.cells import cells, grid
from nas.drawing.intervals import Group, Line, intervals

NAME = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [found.text or "" for found in ElementTree.fromstring(svg).iter(f"{NAME}text")]


def test_cells_show_what_is_there_and_answers_below() -> None:
    svg = cells("a <row>", ["1", "", "<", "?"], {3: "9"}, columns=2)
    assert texts(svg) == ["1", "<", "?", "9"]
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == "a <row>"
    assert len(list(root.iter(f"{NAME}rect"))) == 5  # the paper and four cells
    assert svg == cells("a <row>", ["1", "", "<", "?"], {3: "9"}, columns=2)


def test_a_grid_has_its_answers_inside() -> None:
    assert texts(grid("board", ["1", "", "", "2"], {1: "2", 2: "1"}, columns=2)) == ["1", "2", "1", "2"]
    painted = grid(
        "maze", ["wall", "other", "other", "start"], {1: "way"}, 2, {"wall": "#111111", "way": "#222222"}
    )
    assert "#111111" in painted
    assert "#222222" in painted
    assert "wall" not in texts(painted)


def test_intervals_stay_on_the_scale() -> None:
    line = Line("a < b", 0.95, 0.3, 1.6, (0.9, 1.0))
    svg = intervals(
        "which", [Group("val/accuracy", [line], chance=0.1), Group("loss", [Line("c", 4.0, 3.0, 5.0)])]
    )
    root = ElementTree.fromstring(svg)
    width = float(root.attrib["width"])
    assert all(0 <= float(dot.attrib["cx"]) <= width for dot in root.iter(f"{NAME}circle"))
    assert "a < b: 0.950, 95 % interval 0.300 to 1.600" in svg.replace("&lt;", "<")
    assert "4.000" in texts(svg)
