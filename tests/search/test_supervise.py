"""What a search writes while it runs: not after every trial, but of every trial."""

from __future__ import annotations

import itertools
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nas.errors import InterruptedRunError
from nas.search import run
from nas.search.crew import Died
from nas.search.supervise import Supervisor
from nas.search.worker import BEGUN, Order
from nas.train.checkpoint import FOLDER
from tests.search.test_study import opened


def files(folder: Path, seconds: float) -> tuple[Any, list[float]]:
    """Return the files of a study that take ``seconds`` to write, and when they were written."""
    written: list[float] = []

    def write(*_: Any) -> None:
        time.sleep(seconds)
        written.append(time.monotonic())

    study: Any = SimpleNamespace(write=write, rows=list)
    plan: Any = SimpleNamespace(
        config={"n_trials": 1},
        workers=1,
        sampler="random",
        folder=folder,
        question=SimpleNamespace(several=False),
    )
    return run._Files(plan, study, complete=False), written


def test_what_takes_long_to_write_is_written_less_often(tmp_path: Path) -> None:
    made, written = files(tmp_path, 0.01)
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        made.write_if_due()
        time.sleep(0.001)
    gaps = [later - earlier for earlier, later in itertools.pairwise(written)]
    assert written
    assert all(gap >= run.SHARE * 0.01 - 0.02 for gap in gaps)
    made.write(finished=True)  # the last one never waits
    assert written[-1] >= until


def test_saving_is_tried_again_until_it_was_due() -> None:
    shown: list[int] = []
    answers = iter([False, False, True])
    study: Any = SimpleNamespace(
        rows=list, rows_of=lambda numbers: [{"number": n} for n in numbers], renew=set
    )
    display: Any = SimpleNamespace(ended=lambda ended, rows: shown.extend(row["number"] for row in ended))
    supervisor = Supervisor(study, SimpleNamespace(), 5, 1, display, lambda: next(answers))  # type: ignore[arg-type]
    supervisor._ended.extend([4, 3])
    for _ in range(5):
        supervisor._tell()
    assert shown == [4, 3]
    assert next(answers, None) is None
    with pytest.raises(StopIteration):
        next(answers)


class Dying:
    """A study of one trial whose searches die while a worker trains it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []

    def next(self, retries: int = 1) -> Any:
        """Start anew, and return the trial to be trained."""
        self.study = opened(self.folder)
        display: Any = SimpleNamespace(ended=lambda _, rows: self.told.extend(row["reason"] for row in rows))
        supervisor = Supervisor(self.study, SimpleNamespace(), 1, retries, display, lambda: True)  # type: ignore[arg-type]
        order = supervisor._next()
        supervisor._tell()
        return order

    def die(self, order: Any, saved: bool = False) -> None:
        """Leave what a worker leaves that is killed with its supervisor."""
        (order.folder / FOLDER).mkdir(parents=True, exist_ok=True)
        (order.folder / BEGUN).touch()
        if saved:
            (order.folder / FOLDER / "state.json").write_text(str(time.monotonic()))


def test_a_trial_that_kills_the_search_again_and_again_fails(tmp_path: Path) -> None:
    dying = Dying(tmp_path / "s")
    for _ in range(3):
        order = dying.next()
        assert order.number == 0
        dying.die(order)
    assert dying.next() is None
    assert dying.told == ["the search died 3 times in a row while it was trained"]
    assert dying.study.is_complete(1)


def test_deaths_of_a_search_are_no_retries_unless_they_come_in_a_row(tmp_path: Path) -> None:
    dying = Dying(tmp_path / "s")
    for _ in range(8):  # each time it has been saved since
        order = dying.next(retries=0)
        assert order is not None
        dying.die(order, saved=True)
    order = dying.next(retries=0)
    assert order is not None
    for _ in range(4):  # these left it in nobody's hands
        order = dying.next(retries=0)
        assert order is not None
    dying.die(order)
    assert dying.next(retries=0) is None


@pytest.mark.parametrize("gone", [False, True])
def test_who_is_stopped_too_early_to_save_has_not_died(tmp_path: Path, gone: bool) -> None:
    """A worker may end by our request, or by the signal that we got as well."""
    order = Order(0, (), (), tmp_path, "s")
    (tmp_path / BEGUN).touch()
    member = SimpleNamespace(order=order)

    def messages(timeout: float) -> Any:
        signal.raise_signal(signal.SIGTERM)
        if gone:
            member.order = None
            yield member, Died(order, "its worker was killed by SIGTERM")

    crew = SimpleNamespace(
        idle=list,
        busy=lambda: [m for m in (member,) if m.order],
        messages=messages,
        interrupt=lambda answer: None,
    )
    study = SimpleNamespace(take_ended=list)  # of deaths nobody tells it
    supervisor = Supervisor(study, crew, 1, 1, SimpleNamespace(), lambda: True)  # type: ignore[arg-type]
    with pytest.raises(InterruptedRunError):
        supervisor.run()
    assert not (tmp_path / BEGUN).exists()
