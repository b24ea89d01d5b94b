"""Workers as their supervisor handles them."""

from __future__ import annotations

import contextlib
import threading
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from nas.config.compose import Composed, compose
from nas.search.crew import Crew, Member
from nas.search.launchers.base import Launcher, Worker
from nas.search.worker import Alive, Ended, Identified, Order
from nas.train.checkpoint import FOLDER

NOTHING = Composed({}, {}, (), ())


def base(tmp_path: Path, *more: str) -> Composed:
    shared = (
        "task=mqar", "task.seq_length=16", "task.validation_examples=6000", "encoder.hidden_size=16",
        "encoder.num_heads=2", "trainer.batch_size=8", "tracker=none", "encoder.hidden_cls=[attn,conv]",
        "trainer.log_every=1", f"paths.outputs={tmp_path / 'outputs'}", f"paths.cache={tmp_path / 'cache'}",
    )  # fmt: skip
    return compose("train", [*shared, *more])


def begun(crew: Crew, folder: Path, step: int) -> Order:
    """Have the one worker train a trial, and return when it has logged a step."""
    order = Order(0, crew.base.overrides, (), folder, "s")
    [member] = crew.idle()
    member.give(order)
    [(who, message)] = list(crew.messages(60))
    assert isinstance(message, Identified)
    who.say(True)
    deadline = time.monotonic() + 60
    while f'"step": {step},' not in (_text(folder / "metrics.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return order


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def interrupted(crew: Crew) -> list[Any]:
    heard: list[Any] = []

    def hear(member: Member, message: Any) -> None:
        heard.append(message)
        if isinstance(message, Ended):
            member.order = None

    crew.interrupt(hear)
    return heard


@pytest.mark.slow  # two processes
def test_a_worker_in_its_last_evaluation_finishes_the_trial_and_ends(tmp_path: Path, capfd: Any) -> None:
    crew = Crew(1, base(tmp_path, "trainer.steps=2", "trainer.evaluate_at=[1.0]"))
    begun(crew, tmp_path / "0", step=2)
    [ended] = interrupted(crew)
    assert isinstance(ended, Ended)
    assert ended.result is not None
    assert ended.result["status"] == "done"
    assert "was killed" not in capfd.readouterr().err


@pytest.mark.slow  # test_run.py kills workers too
def test_a_worker_between_two_steps_saves_and_ends(tmp_path: Path, capfd: Any) -> None:
    crew = Crew(1, base(tmp_path, "trainer.steps=100000", "trainer.evaluate_at=[1.0]"))
    begun(crew, tmp_path / "0", step=3)
    assert interrupted(crew) == []
    assert (tmp_path / "0" / FOLDER / "state.json").is_file()
    assert not (tmp_path / "0" / "result.json").exists()
    assert "was killed" not in capfd.readouterr().err


def test_an_idle_worker_ends_at_once(tmp_path: Path, capfd: Any) -> None:
    assert interrupted(Crew(2, base(tmp_path))) == []
    assert "was killed" not in capfd.readouterr().err


class LateWorker(Worker):
    """Gives its first sign of life a second after its start, and no other."""

    def __init__(self) -> None:
        self._ours, self._theirs = Pipe()
        self._lives = True
        threading.Timer(1.0, self._sign).start()

    def _sign(self) -> None:
        with contextlib.suppress(OSError):  # it was killed
            self._theirs.send(Alive(0))

    @property
    def connection(self) -> Connection:
        return self._ours

    def is_alive(self) -> bool:
        return self._lives

    def kill(self) -> None:
        self._lives = False

    terminate = kill

    def join(self, seconds: float) -> None:
        pass

    def cause(self) -> str:
        return "was killed"


class Late(Launcher):
    def start(self, base: Composed) -> Worker:
        return LateWorker()


def test_a_worker_hangs_from_its_first_sign_of_life_on(tmp_path: Path) -> None:
    crew = Crew(1, NOTHING, Late(), hang_seconds=0.3)
    began = time.monotonic()
    crew.idle()[0].give(Order(0, (), (), tmp_path, "s"))
    heard: list[Any] = []
    while not heard and time.monotonic() < began + 30:
        heard += [message for _, message in crew.messages(0.05)]
    assert [message.cause for message in heard] == ["its worker took no step and evaluated nothing for 0.3 s"]
    assert time.monotonic() - began > 1.3
    crew.interrupt(lambda member, message: None)
