"""The command ``nas-search`` as its users meet it: killed, interrupted, watched, continued."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.cli.search import search
from nas.config.build import build
from nas.files import read_json

COMMANDS = Path(sys.executable).parent
TINY = (
    "task=mqar", "task.seq_length=16", "task.validation_examples=64", "encoder.hidden_size=16",
    "encoder.num_heads=2", "trainer.batch_size=8", "tracker=none", "encoder.hidden_cls=[attn,conv]",
)  # fmt: skip
SPACE = {"encoder.hidden_cls": {"slots": 2, "choices": ["attn", "conv", "mlp"]},
         "optimizer.lr": {"low": 1e-3, "high": 1e-2, "log": True}}  # fmt: skip
LONG = ("trainer.steps=200", "trainer.checkpoint_seconds=0.2", "rungs=null", "workers=2", "sampler=random")


def command(folder: Path, *more: str) -> list[str]:
    """Return a search called ``s`` in ``folder``."""
    path = folder / "s.yaml"
    if not path.is_file():
        path.write_text(json.dumps({"space": SPACE}))
    paths = (f"paths.outputs={folder / 'outputs'}", f"paths.cache={folder / 'cache'}")
    return [str(COMMANDS / "nas-search"), f"sweep={path}", *TINY, *paths, *more]


@contextlib.contextmanager
def started(arguments: list[str], **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a command; whatever is left of it is gone at the end."""
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **more
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finish(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120)


def rows(folder: Path) -> dict[int, dict[str, Any]]:
    """Return the leaderboard's rows by number; none yet: none."""
    path = folder / "outputs" / "s" / "leaderboard.json"
    return {row["number"]: row for row in read_json(path)} if path.is_file() else {}


def ended(folder: Path) -> dict[int, dict[str, Any]]:
    return {n: row for n, row in rows(folder).items() if row["state"] not in ("RUNNING", "WAITING", "PAUSED")}


def wait_until(condition: Any, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def descendants(pid: int) -> list[int]:
    """Return the processes below ``pid`` that have not ended."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(stat.parent.name)] = int(parent)
    found, below = [], {pid}
    while below:
        below = {child for child, parent in parents.items() if parent in below}
        found.extend(below)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def check_complete(folder: Path, n_trials: int) -> None:
    """Exactly the trials that were asked for, each with the value that it has when trained alone."""
    table = rows(folder)
    assert sorted(table) == list(range(n_trials))
    assert {row["state"] for row in table.values()} == {"COMPLETE"}
    for row in table.values():
        assert not (folder / "outputs" / "s" / "trials" / str(row["number"]) / "error.txt").exists()


def check_value(folder: Path, row: dict[str, Any]) -> None:
    alone = [
        *row["overrides"],
        "tracker=none",
        f"paths.outputs={folder / 'alone'}",
        f"paths.cache={folder / 'c'}",
    ]
    assert build(alone).train(report=lambda _: None).metrics["val/loss"] == row["value"]


def kill_and_check(arguments: list[str], moment: Any, patience: float = 20.0) -> None:
    """Start a search, SIGKILL its supervisor at ``moment``, and see its workers end."""
    with started(arguments) as process:
        moment(process)
        below = descendants(process.pid)
        process.kill()
        process.wait()
        time.sleep(0.1)
        wait_until(lambda: not any(map(alive, below)), seconds=patience)
        assert "Traceback" not in process.communicate()[1]


@pytest.mark.slow
def test_two_supervisors_of_one_study_are_refused(tmp_path: Path) -> None:
    arguments = command(tmp_path, *LONG, "n_trials=2", "trainer.steps=1000000")
    with started(arguments) as process:
        wait_until((tmp_path / "outputs" / "s" / "study.json").is_file)
        busy = finish(arguments)
        assert process.poll() is None
    assert busy.returncode == 2
    assert busy.stderr.splitlines() == ["error: study='s' is being searched by another process"]


@pytest.mark.slow  # tests/search/storages/test_torture.py kills more, with a server
def test_killed_at_any_moment_nothing_is_lost(tmp_path: Path) -> None:
    arguments = command(tmp_path, *LONG, "n_trials=6")
    stream, before = random.Random(int(os.environ.get("NAS_TEST_SEED", "0"))), {}
    anywhere = stream.uniform(0.5, 8.0)
    # The process that workers come from ends once it has imported PyTorch.
    for moment in (lambda _: time.sleep(anywhere), lambda _: wait_until(lambda: len(ended(tmp_path)) >= 2)):
        kill_and_check(arguments, moment)
        after = ended(tmp_path)
        assert {number: after[number] for number in before} == before
        before = after
    again = finish(arguments)
    assert again.returncode == 0, again.stderr
    after = rows(tmp_path)
    assert {number: after[number] for number in before} == before
    check_complete(tmp_path, 6)
    lines = [line for line in again.stderr.splitlines() if line.startswith("[")]
    assert len(lines) == 6 - len(before)  # one line for each trial, nothing else of workers
    assert all("| best " in line for line in lines)
    assert all("left" in line for line in lines[:-1])
    for row in after.values():
        check_value(tmp_path, row)


def trainers(pid: int, number: int) -> list[int]:
    """Return the workers of a search that hold the lock of a trial."""
    found = []
    for child in descendants(pid):
        with contextlib.suppress(OSError):
            links = [str(link.readlink()) for link in Path(f"/proc/{child}/fd").iterdir()]
            if any(link.endswith(f"/trials/{number}/.lock") for link in links):
                found.append(child)
    return found


@pytest.mark.slow  # tests/search/test_crew.py has the same in one process
def test_a_killed_worker_is_replaced_and_its_trial_continued(tmp_path: Path) -> None:
    arguments = command(tmp_path, *LONG, "n_trials=2", "trainer.steps=400")
    checkpoint = tmp_path / "outputs" / "s" / "trials" / "0" / "checkpoint"
    with started(arguments) as process:
        wait_until(lambda: checkpoint.is_dir() or process.poll() is not None)
        assert process.poll() is None, process.communicate()[1]
        victims = trainers(process.pid, 0)  # the other trial may have no checkpoint yet
        assert victims
        os.kill(victims[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0
    check_complete(tmp_path, 2)
    assert (
        "its worker was killed by SIGKILL (out of memory?); it is started again from its checkpoint" in errors
    )
    assert "continuing" in errors
    for row in rows(tmp_path).values():
        check_value(tmp_path, row)


@pytest.mark.slow  # tests/search/test_crew.py has the same in one process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_saves_and_continues(tmp_path: Path, number: int) -> None:
    # Most of the time goes into evaluations: the workers will be at a rung, where they wait for an answer.
    evaluating = (
        "trainer.evaluate_at=[0.2,0.4,0.6,0.8]",
        "task.validation_examples=2000",
        "trainer.steps=20",
    )
    arguments = command(tmp_path, *LONG, *evaluating, "n_trials=3")
    with started(arguments) as process:
        wait_until(lambda: ended(tmp_path))
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 130, errors
    assert "was killed" not in errors
    assert "Traceback" not in errors
    assert "run the same command to continue" in errors
    before = ended(tmp_path)
    assert (tmp_path / "outputs" / "s" / "report.html").is_file()
    again = finish(arguments)
    assert again.returncode == 0, again.stderr
    after = rows(tmp_path)
    assert {n: after[n] for n in before} == before
    check_complete(tmp_path, 3)
    check_value(tmp_path, after[2])


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.2, 1.0, 2.0, 3.5])
def test_ctrl_c_at_any_moment_of_the_start(tmp_path: Path, delay: float) -> None:
    with started(command(tmp_path, *LONG, "n_trials=3")) as process:
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    if delay >= 0.6:  # before, the interpreter itself is starting
        assert process.returncode in (0, 130), errors
        assert "Traceback" not in errors


@pytest.mark.slow  # a whole search on a terminal
def test_a_terminal_sees_the_live_leaderboard(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    arguments = command(tmp_path, "trainer.steps=40", "n_trials=3")
    process = subprocess.Popen(arguments, stdout=theirs, stderr=theirs, stdin=theirs, env=environment)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # the terminal closes with its last process
        while chunk := os.read(ours, 65536):
            seen += chunk
    os.close(ours)
    assert process.wait(60) == 0, seen.decode()
    text = seen.decode()
    assert "leaderboard" in text
    assert "of 3 trials; running" in text
    assert "[3/3] trial" in text
    assert "Traceback" not in text


@pytest.mark.slow  # tests/search/test_run.py has the same in one process
def test_nas_train_reproduces_the_winner(tmp_path: Path) -> None:
    search = finish(command(tmp_path, "trainer.steps=12", "n_trials=2", "rungs=null"))
    assert search.returncode == 0, search.stderr
    assert "winner: nas-train experiment=" in search.stdout
    best = min(rows(tmp_path).values(), key=lambda row: row["value"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    own = ("tracker=none", "paths.outputs=out", f"paths.cache={tmp_path / 'cache'}")
    winner = f"experiment={tmp_path / 'outputs' / 's' / 'best.yaml'}"
    train = subprocess.run(
        [str(COMMANDS / "nas-train"), winner, *own], cwd=elsewhere, capture_output=True, text=True, timeout=60
    )
    assert train.returncode == 0, train.stderr
    [path] = (elsewhere / "out").glob("*/*/result.json")
    assert read_json(path)["metrics"]["val/loss"] == best["value"]
    check_value(tmp_path, best)


@pytest.mark.slow  # a whole search
def test_a_folder_of_our_name_where_the_user_stands_is_not_taken_for_us(tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / "__init__.py").write_text("raise SystemExit('not this one')")
    arguments = command(tmp_path, "trainer.steps=4", "n_trials=1", "workers=1")
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    check_complete(tmp_path, 1)


@pytest.mark.slow  # tests/cli/test_app.py has the same for fewer mistakes
def test_wrong_input_takes_seconds_and_leaves_nothing(tmp_path: Path) -> None:
    began = time.monotonic()
    wrong = finish(command(tmp_path, "n_trials=0", "workers=0", "objective=val/los"))
    assert time.monotonic() - began < 20
    assert wrong.returncode == 2
    assert [line.split()[1] for line in wrong.stderr.splitlines()] == [
        "n_trials=0",
        "workers=0",
        "objective='val/los'",
    ]
    assert not (tmp_path / "outputs").exists()


def test_it_is_refused_under_torchrun(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    outcome = command("search", search)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines() == [
        "error: nas-search starts workers of its own (workers=...): start it without torchrun"
    ]
