from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nas.errors import InputError
from nas.report.study import render_study, write_study_report

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags close in order, and keeps headings, text and what a page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.headings: list[str] = []
        self.rows = 0
        self.scripts = 0
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for key, value in attrs if key in ("src", "href", "srcset", "data")]
        self.rows += tag == "tr"
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_a_finished_study_has_every_part(make_study) -> None:
    folder = make_study(40)
    path = write_study_report(folder)
    assert path == folder / "report.html"
    page = Page(path.read_text())
    best = json.loads((folder / "leaderboard.json").read_text())[0]
    assert page.headings == [
        "layer_choice",
        f"The winner: trial {best['number']}",
        "How the search went",
        "Leaderboard",
        "Which block where",
        "Failures",
    ]
    known = ("finished", "40 of 40", "4 min 4 s", "better than the median by", "best.yaml", "torch", "2.13.0")
    for text in (*known, f"{best['value']:.4f}", best["architecture"], "one seed", "pruned at 25 %"):
        assert text in page.text, text


def test_the_page_loads_nothing_and_its_pictures_are_well_formed(make_study) -> None:
    text = render_study(make_study(40))
    assert Page(text).loads == []
    assert set(re.findall(r"https?://[^\s\"'<)]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in text
    assert "url(" not in text
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) > 40
    for picture in pictures:
        ElementTree.fromstring(picture)


def test_the_same_files_give_the_same_page(make_study) -> None:
    folder = make_study(20)
    assert render_study(folder) == render_study(folder)


def test_names_and_reasons_are_escaped(make_study) -> None:
    bad = "<script>alert(1)</script>\"'&"
    folder = make_study(
        12, study=bad, task=bad, sampler=bad, overrides=[bad], space={bad: bad}, objective=bad
    )
    rows = json.loads((folder / "leaderboard.json").read_text())
    for row in rows:
        row.update(architecture=bad, reason=bad, overrides=[bad], hash=bad)
        shutil.rmtree(folder / "trials" / str(row["number"]), ignore_errors=True)
    rows.append({"number": 90, "state": "FAIL", "reason": bad})
    (folder / "leaderboard.json").write_text(json.dumps(rows))
    text = render_study(folder)
    assert Page(text).scripts == 1
    assert "<script>alert" not in text
    assert bad in Page(text).text


@pytest.mark.parametrize("trials", [0, 1, 2, 3])
def test_a_small_study_has_a_page(make_study, trials: int) -> None:
    page = Page(render_study(make_study(trials, finished=None, n_trials=30)))
    assert "not finished" in page.text
    assert "nan" not in page.text.lower().split()


def test_a_study_without_results_says_so(make_study) -> None:
    folder = make_study(0, finished=None)
    assert "none has started" in Page(render_study(folder)).text
    (folder / "leaderboard.json").write_text(
        json.dumps([{"number": 0, "state": "FAIL", "reason": "out of memory"}])
    )
    text = Page(render_study(folder)).text
    assert "The reasons are below" in text
    assert "out of memory" in text
    (folder / "leaderboard.json").unlink()
    assert "No result yet" in Page(render_study(folder)).headings


def test_a_study_of_which_only_the_leaderboard_is_left_has_a_page(make_study) -> None:
    folder = make_study(20)
    (folder / "study.json").unlink()
    shutil.rmtree(folder / "trials")
    page = Page(render_study(folder))
    assert "Leaderboard" in page.headings
    assert "Learning curves" not in page.text


def test_cut_files_of_a_running_trial_do_no_harm(make_study) -> None:
    folder = make_study(20)
    for place in (folder / "trials").iterdir():
        for name in ("metrics.jsonl", "architecture.json"):
            file = place / name
            file.write_bytes(file.read_bytes()[: len(file.read_bytes()) // 2])
    assert "Learning curves" in Page(render_study(folder)).text


def test_the_command_is_relative_to_the_working_folder(make_study, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_study(10)
    monkeypatch.chdir(folder.parent)
    assert "nas-train experiment=layer_choice/best.yaml" in render_study(folder)
    flags = "nas-train trusted_targets=[my.] hydra.searchpath=[file:///home/me/conf]"
    (folder / "best.yaml").write_text(f"# @package _global_\n# s\n# {flags} experiment=elsewhere/best.yaml\n")
    assert f"{flags} experiment=layer_choice/best.yaml" in render_study(folder)


def test_a_large_study_stays_small_on_disk(make_study) -> None:
    text = render_study(make_study(300))
    assert Page(text).rows > 300
    assert len(text) < 1_500_000


def test_no_page_is_written_for_what_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a study"):
        write_study_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_report_imports_no_trainer() -> None:
    program = (
        "import sys, nas.report.study, nas.report.runs;"
        "sys.exit(str({'torch', 'optuna', 'hydra', 'wandb'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_a_suite_has_a_table_of_its_members(make_study) -> None:
    folder = make_study(10, task="suite", objective="val/loss")
    assert "The best trials on each task" not in Page(render_study(folder)).headings
    for path in (folder / "trials").glob("*/result.json"):
        told = json.loads(path.read_text())
        told["metrics"] = {"val/score": 0.5, "mqar/score": 0.25, "grid/score": 0.75}
        path.write_text(json.dumps(told))
    page = Page(render_study(folder))
    assert "The best trials on each task" in page.headings
    assert "trial mean mqar grid" in page.text


def test_a_recorded_answer_is_shown_with_its_picture(make_study, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "candidate": "one",
        "hidden_size": 16,
        "mean": 0.9,
        "low": 0.8,
        "high": 1.0,
        "values": [0.85, 0.95],
    }
    answer = {
        "question": "layer_choice", "text": "Which?", "metric": "val/accuracy", "chance": 0.1, "seeds": 2,
        "rates": [0.001], "tuned_on": 1, "matched": True, "created": "2026-01-01", "rows": [row],
        "claims": [{"claim": "one >= 0.5", "verdict": "holds", "told": "0.900 [0.800, 1.000]"}],
    }  # fmt: skip
    monkeypatch.setattr("nas.report.evidence.recorded", lambda: [answer])
    page = Page(render_study(make_study(5)))
    assert "Recorded answer: layer_choice" in page.headings
    assert "one >= 0.5: holds (0.900 [0.800, 1.000])." in page.text
    assert page.loads == []
