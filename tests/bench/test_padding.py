"""The bench ``padding`` on a very small shape: all sides read the same text, with less and less around it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.bench import padding as bench
from nas.bench.padding import PaddingBench, Paragraphs
from nas.bench.peers.models import ModelShape
from nas.errors import InputError
from nas.progress import silent


def test_more_lengths_leave_less_padding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench.SHAPES, "tiny", ModelShape(16, 1, 2, 32, 32, 4, 512))
    results = PaddingBench(str(tmp_path), ["tiny"], seconds=0.01).measure(0, silent)
    assert json.loads(json.dumps(results)) == results
    rows = results["rows"]
    assert [len(row["lengths"]) for row in rows] == [1, 3, 8]
    assert rows[0]["padding"] > rows[1]["padding"] > rows[2]["padding"] > 0
    assert all(row["interval"][0] <= row["ratio"] <= row["interval"][1] for row in rows)
    task = Paragraphs(512, 32, 4, [8, 16])
    task.prepare(tmp_path, silent)
    more, fewer = Paragraphs(512, 32, 4, [4, 8, 16]), task
    more.prepare(tmp_path, silent)
    assert more.tokens(4, 0)[0] == fewer.tokens(4, 0)[0]


def test_wrong_settings_are_named() -> None:
    with pytest.raises(InputError, match=r"bench\.shapes"):
        PaddingBench("cache", ["huge"])
