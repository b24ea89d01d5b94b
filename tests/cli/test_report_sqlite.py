"""``nas-report`` of studies that somebody else has made with Optuna, in an SQLite file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

from nas.cli.app import DONE, WRONG_INPUT
from nas.cli.report import report
from nas.files import read_json

optuna.logging.set_verbosity(optuna.logging.WARNING)


def loss(trial: optuna.Trial) -> float:
    """Be completed, pruned or failed, as a user's own objective is."""
    rate = trial.suggest_float("model.lr", 1e-3, 1e-1, log=True)
    kind = trial.suggest_categorical("kind", ["a-b", "c"])
    for step in range(3):
        trial.report(rate / (step + 1), step)
    if trial.number == 1:
        raise optuna.TrialPruned
    if trial.number == 2:
        raise ValueError("no good")
    return rate + (kind == "c")


def made(path: Path, *names: str) -> Path:
    """Return an SQLite file with studies of five trials."""
    for name in names:
        study = optuna.create_study(
            storage=f"sqlite:///{path}", study_name=name, sampler=optuna.samplers.RandomSampler(0)
        )
        study.optimize(loss, n_trials=5, catch=ValueError)
        study.enqueue_trial({"model.lr": 0.01})
    return path


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("old") / "old.db", "mine")


def test_the_only_study_of_a_file(command: Any, old: Path, tmp_path: Path) -> None:
    before = old.read_bytes(), sorted(old.parent.iterdir())
    outcome = command("report", report, f"study={old}")
    assert outcome.code == DONE, outcome.err
    assert outcome.out.splitlines()[-1] == "outputs/mine/report.html"
    assert "model.lr=0.0" in outcome.out  # the leaderboard says what a trial is
    assert (old.read_bytes(), sorted(old.parent.iterdir())) == before
    rows = {row["number"]: row for row in read_json(tmp_path / "outputs" / "mine" / "leaderboard.json")}
    states = [rows[number]["state"] for number in range(6)]
    assert states == ["COMPLETE", "PRUNED", "FAIL", "COMPLETE", "COMPLETE", "WAITING"]
    best = optuna.load_study(study_name="mine", storage=f"sqlite:///{old}").best_trial
    assert rows[best.number]["value"] == best.value
    assert next(iter(rows)) == best.number
    assert rows[best.number]["overrides"] == [f"model.lr={best.params['model.lr']}", "kind=a-b"]
    assert rows[1]["reason"] == "pruned at step 2"
    page = (tmp_path / "outputs" / "mine" / "report.html").read_text()
    assert f"Read from {old}, a study made with Optuna" in page
    assert "Learning curves" in page
    assert command("report", report, "study=mine").code == DONE  # the page again, from its files
    assert command("report", report, "study=mine", "storage=sqlite", f"storage.path={old}").code == DONE


def test_several_objectives_with_names_and_a_constraint(command: Any, tmp_path: Path) -> None:
    def measured(trial: optuna.Trial) -> tuple[float, float]:
        trial.set_constraint("memory", trial.number - 2.5)
        return [(1.0, 0.5), (2.0, 0.9), (3.0, 0.6), (0.1, 0.99)][trial.number]

    study = optuna.create_study(
        storage=f"sqlite:///{tmp_path / 'two.db'}", study_name="a/b", directions=["minimize", "maximize"]
    )
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["loss", "accuracy"])
    study.optimize(measured, n_trials=4)
    outcome = command("report", report, "study=two.db")
    assert outcome.code == DONE, outcome.err
    assert outcome.out.splitlines()[-1] == "outputs/a_b/report.html"
    rows = {row["number"]: row for row in read_json(tmp_path / "outputs" / "a_b" / "leaderboard.json")}
    assert rows[1]["values"] == {"loss": 2.0, "accuracy": 0.9}
    assert [rows[n]["front"] for n in range(4)] == [True, True, False, False]
    assert rows[3]["reason"] == "breaks constraint memory; its value is 0.1, 0.99"


def test_mistakes_are_one_line_each(command: Any, old: Path, tmp_path: Path) -> None:
    several = made(tmp_path / "several.db", "first", "second")
    made(tmp_path / "odd name.db", "my study", "second")
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked at")
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE other (x)")
    optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'none.db'}").engine.dispose()
    cases = {
        ("study=several.db",): "several.db holds several studies, ['first', 'second']: choose one, such as "
        "study=first storage=sqlite storage.path=several.db",
        (
            "study=odd name.db",
        ): "odd name.db holds several studies, ['my study', 'second']: choose one, such as "
        "study='my study' storage=sqlite storage.path='odd name.db'",
        ("storage=sqlite", f"storage.path={several}"): f"{several} holds several studies",
        ("study=secand", "storage=sqlite", f"storage.path={several}"): "study='secand' is not one of "
        f"['first', 'second'] in {several}; did you mean 'second'?",
        ("study=text.db",): "storage.path='text.db' cannot be read: it is not an SQLite file",
        ("study=empty.db",): "storage.path='empty.db' holds no studies of Optuna",
        ("study=none.db",): "storage.path='none.db' holds no studies of Optuna",
        (
            "study=x",
            "storage=sqlite",
            "storage.path=gone.db",
        ): "storage.path='gone.db': there is no such file",
        ("study=sqlite:///gone.db",): "storage.path='gone.db': there is no such file",
        ("storage=sqlite",): "storage.path is required",
        ("study=x", "storage=journal"): "storage is for studies that another program has left",
    }
    for arguments, told in cases.items():
        outcome = command("report", report, *arguments)
        assert outcome.code == WRONG_INPUT, arguments
        assert outcome.err.startswith(f"error: {told}"), outcome.err
        assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "outputs").exists()


def test_what_else_is_in_the_folder_stays(command: Any, old: Path, tmp_path: Path) -> None:
    (tmp_path / "outputs" / "mine").mkdir(parents=True)
    (tmp_path / "outputs" / "mine" / "journal.log").touch()
    outcome = command("report", report, f"study={old}")
    assert outcome.code == WRONG_INPUT
    assert outcome.err == (
        "error: outputs/mine holds something else: choose another folder with paths.outputs=...\n"
    )


def test_an_older_file_is_read_and_a_newer_one_refused(command: Any, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript((Path(__file__).parent / "data" / "optuna_2.sql").read_text())
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="no longer compatible"):
        optuna.storages.RDBStorage(f"sqlite:///{path}")
    outcome = command("report", report, "study=old.db")
    assert (outcome.code, outcome.err) == (DONE, "")
    assert path.read_bytes() == before
    rows = read_json(tmp_path / "outputs" / "old" / "leaderboard.json")
    assert [row["number"] for row in rows] == [3, 0, 1, 2]
    assert rows[0]["overrides"] == ["lr=0.013680095279726922", "layers=4", "kind=b"]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    outcome = command("report", report, "study=old.db")
    assert outcome.code == WRONG_INPUT
    assert outcome.err.startswith("error: storage.path='old.db' holds tables that Optuna")
    assert len(outcome.err.splitlines()) == 1


KILLED = """
import os, signal, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")  # what does not fit goes into the file before it is committed
database.execute("BEGIN IMMEDIATE")
database.execute("UPDATE studies SET study_name = 'half'")
for _ in range(300):
    database.execute("INSERT INTO study_user_attributes (study_id, key, value_json) "
                     "VALUES (1, hex(randomblob(100)), hex(randomblob(1000)))")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_what_a_killed_process_left_half_written(command: Any, tmp_path: Path, mode: str) -> None:
    (tmp_path / "db").mkdir()
    path = made(tmp_path / "db" / "killed.db", "mine")
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA journal_mode = {mode}")
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    beside = {p.name: p.read_bytes() for p in path.parent.iterdir() if not p.name.endswith("-shm")}
    assert len(beside) == 2  # with a journal
    outcome = command("report", report, f"study={path}")
    assert outcome.code == DONE, outcome.err
    assert {p.name: p.read_bytes() for p in path.parent.iterdir() if not p.name.endswith("-shm")} == beside


def test_while_another_process_writes(command: Any, tmp_path: Path) -> None:
    path = made(tmp_path / "busy.db", "mine")
    writer = subprocess.Popen(
        [sys.executable, "-c", "import optuna, sys\n"
         "optuna.logging.set_verbosity(optuna.logging.ERROR)\n"
         "study = optuna.load_study(study_name='mine', storage=sys.argv[1])\n"
         "study.optimize(lambda trial: trial.suggest_float('x', 0, 1), n_trials=1000)",
         f"sqlite:///{path}"],
    )  # fmt: skip
    try:
        counts = []
        while len(set(counts)) < 3 and writer.poll() is None:
            assert command("report", report, "study=busy.db").code == DONE
            counts.append(len(read_json(tmp_path / "outputs" / "mine" / "leaderboard.json")))
        assert counts == sorted(counts)
    finally:
        writer.kill()
        writer.wait()
