"""The bench of a trial's overhead: a stopwatch that adds up, and one whole small study."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from nas.bench.overhead import OverheadBench, summary, warm
from nas.bench.overhead_run import SUPERVISOR, WORKER, Measured
from nas.bench.recording import REST, RecordingBench, means
from nas.bench.stopwatch import OTHER, Stopwatch, find, restored
from nas.errors import InputError


@pytest.mark.parametrize("path", [p for stages in (WORKER, SUPERVISOR) for s in stages.values() for p in s])
def test_what_is_timed_is_there(path: str) -> None:
    owner, name = find(path)
    assert callable(getattr(owner, name))


def test_every_moment_belongs_to_the_innermost_stage() -> None:
    first = time.monotonic()
    watch = Stopwatch(opaque=("closed",))
    began = time.monotonic()
    with watch.stage("outer"):
        time.sleep(0.01)
        with watch.stage("inner"):
            time.sleep(0.02)
        with watch.stage("closed"), watch.stage("inner"):
            time.sleep(0.03)
    whole = time.monotonic() - began
    lap = {name: wall for name, (wall, _) in watch.lap().items()}
    most = time.monotonic() - first
    assert set(lap) == {OTHER, "outer", "inner", "closed"}
    assert lap["outer"] >= 0.01
    assert 0.02 <= lap["inner"] < lap["inner"] + lap["closed"] <= whole
    assert lap["closed"] >= 0.03
    assert whole <= sum(lap.values()) + 1e-6
    assert sum(lap.values()) <= most + 1e-6
    assert set(watch.lap()) == {OTHER}


def test_functions_are_wrapped_and_put_back() -> None:
    class Base:
        def work(self) -> str:
            return "done"

    class Derived(Base):
        pass

    watch = Stopwatch()
    module = SimpleNamespace(Derived=Derived)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "nas_overhead_example", module)
        with restored(["nas_overhead_example:Derived.work"]):
            watch.wrap(*find("nas_overhead_example:Derived.work"), "work")
            assert Derived().work() == "done"
            assert "work" in vars(Derived)
    assert "work" not in vars(Derived)
    assert "work" in watch.lap()


def test_overhead_is_all_but_what_is_left_out() -> None:
    laps = [{"step": (0.5, 0.4), "build": (0.01, 0.01), "process": (0.0, 0.5)}] * 3
    told = summary(laps, ("step",))
    assert told["overhead"]["wall"] == pytest.approx([10.0] * 3)
    assert told["other threads"]["cpu"] == pytest.approx([90.0] * 3)
    assert "process" not in told


def test_wrong_settings_are_told() -> None:
    with pytest.raises(InputError):
        OverheadBench(trials=3)
    with pytest.raises(InputError):
        OverheadBench(workers=[0])


def test_who_has_trained_little_counts_with_the_last_trial() -> None:
    laps = [{"step": (float(n), 0.0)} for n in range(8)]
    assert warm(laps) == laps[3:]
    assert warm(laps, workers=2) == laps[6:]
    assert warm(laps[:3]) == warm(laps[:3], workers=2) == laps[2:3]
    measured = Measured([laps[:2], []], laps[:4], [])
    told = OverheadBench(trials=4).told(measured, workers=2)
    assert told["worker"]["step"]["wall"] == pytest.approx([1000.0] * 3)
    assert told["supervisor"]["step"]["wall"] == pytest.approx([3000.0] * 3)


@pytest.mark.slow  # whole searches
def test_whole_studies(tmp_path: Path) -> None:
    bench = OverheadBench(finished=[2], workers=[1, 2], trials=5)
    results = bench.measure(seed=0, report=lambda line: None)
    assert [(row["finished"], row["workers"]) for row in results["rows"]] == [(2, 1), (2, 2)]
    for row in results["rows"]:
        assert {"config update", "build", "tracker", "checkpoint", "step", "overhead"} <= set(row["worker"])
        assert {"proposal", "storage", "waiting"} <= set(row["supervisor"])
        assert all(start["torch_was_there"] for start in row["starts"])
    *_, line = bench.tables(results)
    assert "PyTorch was imported before the worker began in 3 of 3 workers" in str(line)


def test_means_leave_waiting_out() -> None:
    laps = [
        {"sampler": (0.02, 0.01), "storage": (0.004, 0.002), "waiting": (9.0, 0.0)},
        {"rungs": (0.002, 0.002)},
    ]
    told = means(laps)
    assert told["sampler"] == pytest.approx({"wall": 10.0, "cpu": 5.0})
    assert told[REST] == pytest.approx({"wall": 3.0, "cpu": 2.0})
    assert "waiting" not in told


@pytest.mark.slow  # a whole search of processes that train nothing
def test_workers_that_only_speak() -> None:
    bench = RecordingBench(finished=[20], workers=[3], trials=5)
    results = bench.measure(seed=0, report=lambda line: None)
    [row] = results["rows"]
    assert {"proposal", "identity", "rungs", "end", "storage", "sampler", REST} <= set(row["mean"])
    [table] = bench.tables(results)
    assert "20 finished, 3 workers" in [str(column.header) for column in table.columns]  # type: ignore[union-attr]
