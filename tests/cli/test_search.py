"""The command ``nas-search`` as its users meet it: killed, interrupted, watched, continued."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nas.cli.search import search
from nas.files import read_json
from tests.cli.searching import (
    COMMANDS,
    LONG,
    check_complete,
    check_value,
    command,
    ended,
    finish,
    kill_and_check,
    rows,
    run_here,
    started,
    trainers,
    wait_until,
)


@pytest.mark.slow  # tests/search/storages/test_torture.py kills more, with a server
def test_killed_at_any_moment_nothing_is_lost(tmp_path: Path, capfd: Any) -> None:
    arguments = command(tmp_path, *LONG, "n_trials=6")
    stream, before = random.Random(int(os.environ.get("NAS_TEST_SEED", "0"))), {}
    anywhere = stream.uniform(0.5, 8.0)
    # The process that workers come from ends once it has imported PyTorch.
    for moment in (lambda _: time.sleep(anywhere), lambda _: wait_until(lambda: len(ended(tmp_path)) >= 2)):
        kill_and_check(arguments, moment)
        after = ended(tmp_path)
        assert {number: after[number] for number in before} == before
        before = after
    assert run_here(arguments) == 0
    after = rows(tmp_path)
    assert {number: after[number] for number in before} == before
    check_complete(tmp_path, 6)
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("[")]
    assert len(lines) == 6 - len(before)  # one line for each trial, nothing else of workers
    assert all("| best " in line for line in lines)
    assert all("left" in line for line in lines[:-1])
    for row in after.values():
        check_value(tmp_path, row)


@pytest.mark.slow  # tests/search/test_crew.py has the same of single trials
def test_a_killed_worker_is_replaced_and_its_trial_continued(tmp_path: Path, capfd: Any) -> None:
    checkpoint = tmp_path / "outputs" / "s" / "trials" / "0" / "checkpoint"
    killed: list[int] = []

    def kill() -> None:
        wait_until(checkpoint.is_dir)
        killed.extend(trainers(os.getpid(), 0)[:1])  # the other trial may have no checkpoint yet
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    assert run_here(command(tmp_path, *LONG, "n_trials=2", "trainer.steps=400")) == 0
    killer.join()
    assert killed
    errors = capfd.readouterr().err
    check_complete(tmp_path, 2)
    assert (
        "its worker was killed by SIGKILL (out of memory?); it is started again from its checkpoint" in errors
    )
    assert "continuing" in errors
    check_value(tmp_path, rows(tmp_path)[0])


@pytest.mark.slow  # tests/search/test_crew.py has the same in one process
def test_interrupted_it_saves_and_continues_and_nobody_else_may_meanwhile(tmp_path: Path, capfd: Any) -> None:
    # Most of the time goes into evaluations: the workers will be at a rung, where they wait for an answer.
    evaluating = (
        "trainer.evaluate_at=[0.2,0.4,0.6,0.8]",
        "task.validation_examples=320",
        "trainer.steps=20",
    )
    arguments = command(tmp_path, *LONG, *evaluating)
    endless = [*arguments, "n_trials=1000"]
    before: dict[int, dict[str, Any]] = {}
    cut: set[int] = set()
    # a terminal and SLURM send to every process, Kubernetes to the first
    for send, number in ((os.killpg, signal.SIGINT), (os.killpg, signal.SIGTERM), (os.kill, signal.SIGTERM)):
        with started(endless) as process:
            wait_until(lambda known=before: ended(tmp_path).keys() > known.keys())
            assert run_here(endless) == 2
            assert capfd.readouterr().err == "error: study='s' is being searched by another process\n"
            send(process.pid, number)
            _, errors = process.communicate(timeout=100)
            assert process.returncode == 130, errors
        assert "worker" not in errors  # none was killed, none counts as dead
        assert "Traceback" not in errors
        assert "run the same command to continue" in errors
        assert (tmp_path / "outputs" / "s" / "report.html").is_file()
        after = ended(tmp_path)
        assert {n: after[n] for n in before} == before
        before = after
        cut |= set(sorted(rows(tmp_path).keys() - before.keys())[:1])
    last = len(rows(tmp_path))
    assert run_here([*arguments, f"n_trials={last + 1}"]) == 0
    after = rows(tmp_path)
    assert {n: after[n] for n in before} == before
    check_complete(tmp_path, last + 1)
    for trial in (*cut, last):
        check_value(tmp_path, after[trial])


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
def test_nas_train_reproduces_the_winner(tmp_path: Path, capfd: Any) -> None:
    assert run_here(command(tmp_path, "trainer.steps=12", "n_trials=2", "rungs=null")) == 0
    assert "winner: nas-train experiment=" in capfd.readouterr().out
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
def test_wrong_input_leaves_nothing(tmp_path: Path) -> None:
    wrong = finish(command(tmp_path, "n_trials=0", "workers=0", "objective=val/los"))
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
