from __future__ import annotations

from pathlib import Path

from nas.track.jsonl import MetricsFile, read_rows


def test_rows_are_there_at_once(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path)
    file.write({"step": 1, "train/loss": 0.1})
    assert read_rows(tmp_path / "metrics.jsonl") == [{"step": 1, "train/loss": 0.1}]
    file.write({"step": 2, "val/loss": 0.2})
    file.close()
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_continued_file_loses_what_comes_after_its_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 2, "val/loss": 1.0}\n{"step": 3}\n{"step": 4, "tra')
    file = MetricsFile(tmp_path, from_step=2)
    file.write({"step": 3, "again": True})
    file.close()
    assert read_rows(path) == [
        {"step": 1},
        {"step": 2},
        {"step": 2, "val/loss": 1.0},
        {"step": 3, "again": True},
    ]


def test_a_run_from_the_start_begins_with_nothing(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    MetricsFile(tmp_path).close()
    assert read_rows(tmp_path / "metrics.jsonl") == []


def test_half_written_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_rows(path) == []
    path.write_bytes(b'{"step": 1}\n{"step": 2, "x": "\xe2\x82')
    assert read_rows(path) == [{"step": 1}]
