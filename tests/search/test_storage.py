"""The journal: what a kill leaves behind is mended, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import optuna

from nas.search.storage import Journal

optuna.logging.set_verbosity(optuna.logging.WARNING)


def written(folder: Path, trials: int = 3) -> Path:
    folder.mkdir(exist_ok=True)
    study = optuna.create_study(study_name="s", storage=Journal().open(folder))
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=trials)
    return folder / "journal.log"


def values(folder: Path) -> list[float | None]:
    study = optuna.load_study(study_name="s", storage=Journal().open(folder))
    return [trial.value for trial in study.trials]


def test_a_whole_journal_is_not_touched(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = path.read_bytes()
    Journal().open(tmp_path)
    assert path.read_bytes() == content


def test_a_half_line_is_cut(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content + b'{"op_code": 4, "stu')
    before = values(tmp_path)
    assert path.read_bytes() == content
    assert len(before) == 3


def test_a_stale_lock_does_not_hold_anyone_up(tmp_path: Path) -> None:
    written(tmp_path)
    for name in ("journal.log.lock", "journal.log.lock1234.rename"):
        (tmp_path / name).write_text("")
    study = optuna.load_study(study_name="s", storage=Journal().open(tmp_path))
    study.tell(study.ask(), 1.0)
    assert len(values(tmp_path)) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["journal.log"]


def test_a_journal_cut_anywhere_in_its_last_record_keeps_all_others(tmp_path: Path) -> None:
    content = written(tmp_path / "whole").read_bytes()
    lines = content.splitlines(keepends=True)
    kept = b"".join(lines[:-1])
    folder = tmp_path / "cut"
    folder.mkdir()
    path = folder / "journal.log"
    for end in range(len(kept), len(content)):
        path.write_bytes(content[:end])
        study = optuna.load_study(study_name="s", storage=Journal().open(folder))
        assert path.read_bytes() == kept
        assert [t.state.name for t in study.trials] == ["COMPLETE", "COMPLETE", "RUNNING"]
    study.tell(study.trials[2].number, 0.5)
    assert values(folder)[2] == 0.5
