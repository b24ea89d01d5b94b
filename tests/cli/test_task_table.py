"""The page of tasks and its pictures are what the code generates."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from nas.cli.task_table import FOLDER, PICTURES, files

pytestmark = pytest.mark.slow  # seconds

CONF = Path(__file__).resolve().parents[2] / "conf" / "task"
YAMLS = sorted(path.stem for path in CONF.glob("*.yaml"))


@pytest.fixture(scope="module")
def made() -> dict[Path, str]:
    return files()


def test_the_files_are_what_the_code_generates(made: dict[Path, str]) -> None:
    there = {FOLDER / "README.md", *(FOLDER / PICTURES).glob("*.svg")}
    assert there == set(made), "run `python -m nas.cli.task_table`"
    wrong = [path.name for path, text in made.items() if path.read_text(encoding="utf-8") != text]
    assert wrong == [], "run `python -m nas.cli.task_table`"


def test_every_task_and_preset_is_on_the_page(made: dict[Path, str]) -> None:
    page = made[FOLDER / "README.md"]
    headings = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    presets = [
        line.split("`")[1].removeprefix("task=") for line in page.splitlines() if line.startswith("- `task=")
    ]
    assert sorted([*headings[:-1], *presets]) == YAMLS
    assert headings[-1] == "Do they tell architectures apart?"


def test_pictures_are_whole_and_shown(made: dict[Path, str]) -> None:
    page = made[FOLDER / "README.md"]
    for path, text in made.items():
        if path.suffix == ".svg":
            ElementTree.fromstring(text)
            assert f"({PICTURES}/{path.name})" in page


def test_a_section_tells_settings_metrics_and_what_does_not_compare(made: dict[Path, str]) -> None:
    section = made[FOLDER / "README.md"].split("\n## mqar\n")[1].split("\n## ")[0]
    for part in (
        "| `num_pairs` | `4` | keys in a row |",
        "`val/accuracy`",
        "task=mqar_published",
        "not comparable",
    ):
        assert part in section, section
