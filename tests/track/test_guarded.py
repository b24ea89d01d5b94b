from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nas
import nas.track.guarded as guarded
import nas.train.run
from nas.track.base import RunInfo, Tracker
from nas.track.guarded import GuardedTracker

INFO = RunInfo(name="a", group="g", job_type="train", folder=Path(), identity="1")


class Recorder(Tracker):
    """Keeps its events; does ``at[event]`` instead where there is one."""

    def __init__(self, **at: Callable[[], None]) -> None:
        self.at = at
        self.events: list[Any] = []
        self.abandoned = False

    def start(self, info: RunInfo) -> None:
        self._take("start", info)

    def log(self, metrics: dict[str, float]) -> None:
        self._take("log", metrics)

    def finish(self, summary: dict[str, Any]) -> None:
        self._take("finish", summary)

    def abandon(self) -> None:
        self.abandoned = True

    def _take(self, event: str, value: Any) -> None:
        if event in self.at:
            self.at[event]()
        self.events.append(value)


def fail() -> None:
    raise RuntimeError("no room")


def leave() -> None:
    raise SystemExit(3)


@pytest.fixture
def hang() -> Iterator[Callable[[], None]]:
    """Wait until the test is over."""
    over = threading.Event()
    yield lambda: over.wait(60) and None
    over.set()
    for thread in threading.enumerate():
        if thread.name == "tracker":
            thread.join(5)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    guarded._given_up.clear()


def go(tracker: Tracker, rows: int = 3, pause: float = 0.0, patience: float = 0.2) -> list[str]:
    """Run a tracker's life; return the warnings."""
    said: list[str] = []
    guard = GuardedTracker(tracker, said.append, patience)
    guard.start(INFO)
    for step in range(rows):
        guard.log({"step": step})
        time.sleep(pause)
    guard.finish({"status": "done"})
    return said


def test_events_arrive_in_order() -> None:
    tracker = Recorder()
    said = go(tracker, rows=200)
    assert tracker.events == [INFO, *({"step": step} for step in range(200)), {"status": "done"}]
    assert said == []


def test_a_row_that_changes_later_is_sent_as_it_was() -> None:
    tracker = Recorder()
    guard = GuardedTracker(tracker, print)
    row = {"step": 1.0}
    guard.start(INFO)
    guard.log(row)
    row["step"] = 2.0
    guard.finish({})
    assert tracker.events[1] == {"step": 1.0}


@pytest.mark.parametrize("event", ["start", "log", "finish"])
@pytest.mark.parametrize(("how", "name"), [(fail, "RuntimeError: no room"), (leave, "SystemExit: 3")])
def test_a_failing_tracker_is_dropped_with_one_warning(event: str, how: Any, name: str) -> None:
    tracker = Recorder(**{event: how})
    said = go(tracker, pause=0.01)
    assert said == [f"warning: the tracker failed ({name}); the run goes on without it"]
    assert len(tracker.events) == {"start": 0, "log": 1, "finish": 4}[event]
    assert not tracker.abandoned
    assert go(Recorder()) == [], "a quick failure is this run's alone"


@pytest.mark.parametrize("event", ["start", "log", "finish"])
def test_a_hanging_tracker_is_dropped_with_one_warning(event: str, hang: Callable[[], None]) -> None:
    tracker = Recorder(**{event: hang})
    said = go(tracker, rows=10, pause=0.05)
    assert said == ["warning: the tracker did not answer within 0.2 s; the run goes on without it"]
    assert len(tracker.events) == {"start": 0, "log": 1, "finish": 11}[event]  # it hangs still
    assert tracker.abandoned


def test_a_tracker_that_hung_is_not_asked_by_later_runs(hang: Callable[[], None]) -> None:
    go(Recorder(start=hang))
    later = Recorder()
    assert go(later) == []
    assert later.events == []


def test_a_slow_tracker_cannot_hold_up_the_end() -> None:
    tracker = Recorder(log=lambda: time.sleep(0.1))
    assert len(go(tracker, rows=50, patience=0.3)) == 1
    assert len(tracker.events) < 50


def test_warnings_come_from_the_thread_of_the_run() -> None:
    threads: list[str] = []
    guard = GuardedTracker(Recorder(start=fail), lambda line: threads.append(threading.current_thread().name))
    guard.start(INFO)
    guard.finish({})
    assert threads == [threading.current_thread().name]


def test_to_finish_without_a_start_is_harmless() -> None:
    GuardedTracker(Recorder(), print).finish({})


Train = Callable[[Path, Tracker], tuple[dict[str, float], list[str]]]


@pytest.fixture(scope="module")
def train(arguments: Any) -> Train:
    """Train a tiny run with a tracker in the place of its own; return its metrics and what it said."""

    def trained(outputs: Path, tracker: Tracker) -> tuple[dict[str, float], list[str]]:
        said: list[str] = []
        run = nas.build(arguments(outputs, "tracker=none", "trainer.steps=6"))
        run.parts["tracker"] = tracker
        return run.train(report=said.append).metrics, said

    return trained


@pytest.fixture(scope="module")
def undisturbed(train: Train, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    return train(tmp_path_factory.mktemp("undisturbed"), Recorder())[0]


@pytest.mark.parametrize("event", ["start", "log", "finish"])
@pytest.mark.parametrize("hangs", [False, True])
def test_the_run_has_its_result_all_the_same(
    event: str,
    hangs: bool,
    hang: Callable[[], None],
    tmp_path: Path,
    train: Train,
    undisturbed: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nas.train.run, "GuardedTracker", functools.partial(GuardedTracker, patience=0.1))
    metrics, said = train(tmp_path, Recorder(**{event: hang if hangs else fail}))
    assert metrics == undisturbed
    warnings = [line for line in said if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: the tracker ")
