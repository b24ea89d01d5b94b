"""The journal: what a kill leaves behind is mended, and nothing else is touched."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from nas.errors import InputError
from nas.search.storages.journal import Journal

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


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    study = optuna.load_study(study_name="s", storage=Journal().open(tmp_path))
    content, write = path.read_bytes(), os.write

    def full(file: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "no space left")
        return write(file, data[:20])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="no space left"):
        study.ask()
    assert path.read_bytes() == content
    monkeypatch.setattr(os, "write", write)
    study.tell(study.ask(), 1.0)
    assert len(values(tmp_path)) == 4


def test_what_is_remembered_is_what_the_file_holds(tmp_path: Path) -> None:
    written(tmp_path, trials=2)
    study = optuna.load_study(study_name="s", storage=Journal().open(tmp_path))
    asked = [study.ask(), study.ask()]
    before = study.get_trials(deepcopy=False)
    asked[0].report(0.5, 1)
    asked[1].set_user_attr("a", (1, 2))
    assert study.get_trials(deepcopy=False)[3].user_attrs == {"a": [1, 2]}
    study.tell(asked[1], 2.0)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        asked[1].set_user_attr("a", 2)
    study.tell(asked[0], 1.0)
    study.tell(study.ask(), state=optuna.trial.TrialState.PRUNED)
    other = optuna.create_study(study_name="other", storage=study._storage)
    other.add_trials(study.trials[:1])
    assert [t.state.name for t in before] == ["COMPLETE", "COMPLETE", "RUNNING", "RUNNING"]
    for name in ("s", "other"):
        known = optuna.load_study(study_name=name, storage=study._storage).get_trials(deepcopy=False)
        anew = optuna.load_study(study_name=name, storage=Journal().open(tmp_path)).trials
        assert known == anew
        assert len(known) == {"s": 5, "other": 1}[name]


def test_no_answer_needs_the_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    study = optuna.load_study(study_name="s", storage=Journal().open(tmp_path))
    study.get_trials(deepcopy=False)
    path.rename(tmp_path / "elsewhere")
    assert len(study.get_trials(deepcopy=False)) == len(study.trials) == 3


def test_a_journal_that_cannot_be_read_or_is_none_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "folder" / "journal.log").mkdir(parents=True)
    (tmp_path / "memory").mkdir()
    # reading it is an error, also for root
    (tmp_path / "memory" / "journal.log").symlink_to("/proc/self/mem")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "journal.log").write_text("first line\nsecond line\n")
    for name, told in (
        ("folder", "cannot be read and written: Is a directory"),
        ("memory", "cannot be read and written: Input/output error"),
        ("text", "is no journal of Optuna"),
    ):
        with pytest.raises(InputError, match=told) as caught:
            Journal().open(tmp_path / name)
        assert len(str(caught.value).splitlines()) == 1


READ_ONLY = """
import pathlib, sys
from nas.errors import InputError
from nas.search.storages.journal import Journal
try:
    Journal().open(pathlib.Path(sys.argv[1]))
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["folder", "journal.log"])
def test_a_journal_on_a_read_only_mount(tmp_path: Path, what: str) -> None:
    """Permissions do not hold root back; a mount in a namespace of its own does."""
    path = written(tmp_path / "folder")
    place = path if what == "journal.log" else path.parent
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && "$@"'
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(place)]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("no mounts of one's own on this machine")
    done = subprocess.run(
        [*alone, sys.executable, "-c", READ_ONLY, str(path.parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{path} cannot be read and written: Read-only file system\n"


def test_a_study_that_was_deleted_has_no_trials(tmp_path: Path) -> None:
    storage = Journal().open(tmp_path)
    study = optuna.create_study(storage=storage)
    study.ask()
    assert len(study.get_trials(deepcopy=False)) == 1
    storage.delete_study(study._study_id)
    for _ in range(2):
        with pytest.raises(KeyError):
            study.get_trials(deepcopy=False)
    again = optuna.create_study(storage=storage)
    again.ask()
    assert [t.number for t in again.get_trials(deepcopy=False)] == [0]
