"""Several supervisors of one study on a real server: no trial twice, none lost, however they come and go."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from nas.search.leaderboard import REFUSED
from nas.search.storages.postgres import Postgres

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
SPACE = {"seed": list(range(8))}
COMMAND = [sys.executable, "-c", "from nas.cli.search import main; main()"]

Start = Callable[..., subprocess.Popen[bytes]]


def arguments(server: Any, lab: Any, study: str, place: str, *more: str) -> list[str]:
    """Return what a search on the server is called with that writes into a folder of the lab."""
    return [
        lab.sweep(study, SPACE), f"study={study}", "sampler=grid", "rungs=null", "workers=1", "n_trials=8",
        "encoder.hidden_cls=[attn,conv]", "trainer.steps=30", "trainer.checkpoint_seconds=0.05",
        "storage=postgres", f"storage.url={server.url}", "storage.lease_seconds=4",
        f"paths.outputs={lab.folder / place}", *more,
    ]  # fmt: skip


@pytest.fixture
def start(server: Any, lab: Any, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Start a supervisor as a process, in a folder of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def another(place: str, *more: str) -> subprocess.Popen[bytes]:
        command = [*COMMAND, *lab.overrides(*arguments(server, lab, request.node.name, place, *more))]
        with (lab.folder / f"{place}.log").open("ab") as log:
            started.append(subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL))
        return started[-1]

    yield another
    for process in started:
        process.kill()
        process.wait()


def trials(server: Any, name: str, folder: Path) -> list[optuna.trial.FrozenTrial]:
    """Return the trials of a study, but for what a supervisor asked for when there was nothing left."""
    storage = Postgres(server.url)
    try:
        every = optuna.load_study(study_name=name, storage=storage.open(folder)).get_trials()
        return [trial for trial in every if REFUSED not in trial.user_attrs]
    except KeyError:
        return []  # it has not begun
    finally:
        storage.close()


def until(met: Callable[[], bool], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def assert_whole(found: list[optuna.trial.FrozenTrial], lab: Any) -> None:
    """Check that every configuration was trained once, and to the value that it has alone."""
    assert [t.state.name for t in found] == ["COMPLETE"] * 8
    assert sorted(t.params["seed"] for t in found) == list(range(8))
    alone = {row["overrides"][-1]: row["value"] for row in alone_rows(lab)}
    assert {t.user_attrs["result"]["overrides"][-1]: t.value for t in found} == alone


def alone_rows(lab: Any) -> list[dict[str, Any]]:
    """Return the rows of the same study, searched by one undisturbed supervisor with a journal."""
    if not (lab.outputs / "alone" / "leaderboard.json").is_file():
        sweep = lab.sweep("alone", SPACE)
        arguments = [sweep, "sampler=grid", "rungs=null", "n_trials=8", "encoder.hidden_cls=[attn,conv]"]
        assert lab.search(*arguments, "trainer.steps=30", "workers=2") == 0
    rows: list[dict[str, Any]] = lab.rows("alone")
    return rows


def test_two_supervisors_share_a_study(server: Any, lab: Any, start: Start, tmp_path: Path) -> None:
    name = "test_two_supervisors_share_a_study"
    with server.turn_of(name) as waiting:  # nobody has a trial before both are there
        both = [start("one"), start("two")]
        until(lambda: waiting() == 2)
    assert [process.wait(400) for process in both] == [0, 0]
    assert_whole(trials(server, name, tmp_path), lab)
    folders = [{p.name for p in (lab.folder / w / name / "trials").iterdir()} for w in ("one", "two")]
    assert folders[0] | folders[1] == {str(n) for n in range(8)}
    assert not folders[0] & folders[1]
    boards = [(lab.folder / w / name / "leaderboard.json").read_text() for w in ("one", "two")]
    assert boards[0] == boards[1]


def test_a_stopped_and_a_killed_supervisor_lose_their_trials(
    server: Any, lab: Any, start: Start, tmp_path: Path
) -> None:
    name = "test_a_stopped_and_a_killed_supervisor_lose_their_trials"
    stopped, killed = start("stopped"), start("killed")
    until(lambda: server.ended(name) >= 2)
    stopped.send_signal(signal.SIGSTOP)
    killed.kill()
    # the third waits for the others' leases to end, and takes their trials over
    assert lab.search(*arguments(server, lab, name, "third")) == 0
    before = trials(server, name, tmp_path)
    assert_whole(before, lab)
    stopped.send_signal(signal.SIGCONT)
    assert stopped.wait(400) == 0
    assert trials(server, name, tmp_path) == before


def test_who_asks_and_tells_with_optuna_alone_is_not_disturbed(server: Any, lab: Any, tmp_path: Path) -> None:
    one = arguments(server, lab, "asked", "one")
    assert lab.search(*one, "n_trials=2") == 0
    storage = Postgres(server.url)
    study = optuna.load_study(study_name="asked", storage=storage.open(tmp_path))
    mine = study.ask()
    mine.suggest_categorical("seed", SPACE["seed"])
    assert lab.search(*one, "n_trials=3") == 0  # it neither waits for the trial nor counts it
    assert study.trials[mine.number].state.name == "RUNNING"
    assert sum(t.state.name == "COMPLETE" for t in study.trials) == 3
    study.tell(mine, 1.0)
    storage.close()


def test_another_question_is_refused_where_nothing_lies_in_the_folder(
    server: Any, lab: Any, capfd: Any
) -> None:
    assert lab.search(*arguments(server, lab, "question", "one"), "n_trials=1") == 0
    capfd.readouterr()
    assert lab.search(*arguments(server, lab, "question", "two"), "encoder.hidden_cls=[attn]") == 2
    assert "was made with encoder.hidden_cls" in capfd.readouterr().err.splitlines()[-1]
