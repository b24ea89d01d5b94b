"""Timing in turns, and what is made of it."""

from __future__ import annotations

import gc
import time
from collections import Counter

import numpy as np
import pytest
import torch

from nas.bench.measure import LEAST_ROUNDS, WARM_UP, Timing, choose_clock, interleave, ratio
from nas.train.threads import thread_count


def timing(*seconds: float) -> Timing:
    return Timing(np.array(seconds))


def test_every_call_is_made_once_a_round_after_warming_up() -> None:
    made: Counter[str] = Counter()
    order: list[str] = []

    def call(name: str) -> None:
        made[name] += 1
        order.append(name)

    timings = interleave({n: lambda n=n: call(n) for n in "abc"}, seconds=0.0, seed=0)  # type: ignore[misc]
    assert made == dict.fromkeys("abc", WARM_UP + LEAST_ROUNDS)
    assert {len(t.seconds) for t in timings.values()} == {LEAST_ROUNDS}
    rounds = [tuple(order[i : i + 3]) for i in range(3 * WARM_UP, len(order), 3)]
    assert all(sorted(r) == ["a", "b", "c"] for r in rounds)
    assert len(set(rounds)) > 1, "the order changes"


def test_rounds_are_added_until_the_time_is_over() -> None:
    timings = interleave({"a": lambda: time.sleep(0.001)}, seconds=0.05, seed=0)
    assert LEAST_ROUNDS < len(timings["a"].seconds) <= 50
    assert timings["a"].seconds.min() >= 0.001


def test_the_collector_rests_meanwhile_and_comes_back() -> None:
    seen: list[bool] = []
    interleave({"a": lambda: seen.append(gc.isenabled())}, seconds=0.0, seed=0)
    assert seen[WARM_UP:] == [False] * LEAST_ROUNDS
    assert gc.isenabled()


def test_one_thread_is_timed_by_the_processors_clock() -> None:
    """Waiting for a core, here asleep, is not counted."""
    cpu = torch.device("cpu")
    clock = choose_clock(cpu, threads=1)
    timings = interleave({"a": lambda: time.sleep(0.01)}, seconds=0.0, seed=0, clock=clock)
    assert timings["a"].seconds.max() < 0.005
    assert choose_clock(cpu, threads=2) is time.perf_counter
    assert choose_clock(torch.device("cuda"), threads=1) is time.perf_counter


def test_a_ratio_is_taken_within_rounds() -> None:
    """A machine that slows down from round to round changes neither the ratio nor its interval."""
    ours = timing(1.0, 2.0, 4.0, 8.0, 16.0)
    compared = ratio(timing(*(2 * ours.seconds)), ours, seed=0)
    assert (compared.value, compared.low, compared.high) == (2.0, 2.0, 2.0)


def test_the_interval_grows_with_the_noise_and_holds_the_ratio() -> None:
    noise = np.random.default_rng(0).normal(1.0, 0.1, 200)
    compared = ratio(Timing(1.5 * noise), Timing(np.ones(200)), seed=0)
    assert compared.low < 1.5 < compared.high
    assert compared.high - compared.low < 0.1
    assert compared == ratio(Timing(1.5 * noise), Timing(np.ones(200)), seed=0)


def test_milliseconds_are_median_and_quartiles() -> None:
    told = timing(0.001, 0.002, 0.003, 0.004, 0.005).milliseconds()
    assert told == pytest.approx({"low": 2.0, "median": 3.0, "high": 4.0})


def test_thread_count_is_set_back() -> None:
    before = torch.get_num_threads()
    with thread_count(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
