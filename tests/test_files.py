"""Files and folders that are whole or absent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nas.errors import InputError
from nas.files import exclusive, new_folder, read_json, settled_folder, write_json, write_text


def test_text_replaces_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "one")
    write_text(path, "zwei ü")
    assert path.read_text(encoding="utf-8") == "zwei ü"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "one")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_null_for_what_json_cannot_say(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": float("nan"), "b": [float("inf"), 1.5], 3: (1, 2)})
    assert read_json(path) == {"a": None, "b": [None, 1.5], "3": [1, 2]}
    assert json.loads(path.read_text().rstrip("\n"))


def test_new_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    for text in ("one", "two"):
        with new_folder(path) as folder:
            (folder / "x").write_text(text)
    assert (path / "x").read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]
    assert settled_folder(path) == path


def test_new_folder_keeps_the_old_one_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    with new_folder(path) as folder:
        (folder / "x").write_text("one")
    with pytest.raises(UnicodeEncodeError), new_folder(path) as folder:
        (folder / "x").write_text("\ud800")
    assert (path / "x").read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_settled_folder_finds_what_a_kill_between_the_renames_left(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    assert settled_folder(path) is None
    (tmp_path / "checkpoint.old").mkdir()
    assert settled_folder(path) == tmp_path / "checkpoint.old"
    path.mkdir()
    assert settled_folder(path) == path


HOLDER = """
import sys, time
from pathlib import Path
from nas.files import exclusive
with exclusive(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_against_other_processes_and_freed_when_they_die(tmp_path: Path) -> None:
    path = tmp_path / "sub" / ".lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="someone else has it"), exclusive(path, "someone else has it"):
            pass
        holder.kill()
    with exclusive(path, "someone else has it", patience=5):
        pass
    assert path.is_file()
