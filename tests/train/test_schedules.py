from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import InputError
from nas.train.schedules import Constant, Cosine, OneCycle, Schedule, WarmupStableDecay

shares = st.floats(0, 0.99)
progresses = st.floats(0, 1)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    first = draw(shares)
    made: list[Schedule] = [
        Cosine(first, draw(shares)),
        OneCycle(first),
        WarmupStableDecay(first, min(draw(shares), 1 - first)),
        Constant(first),
    ]
    return draw(st.sampled_from(made))


def end_of_rise(schedule: Schedule) -> float:
    return schedule.peak if isinstance(schedule, OneCycle) else schedule.warmup  # type: ignore[attr-defined]


@given(schedules(), progresses)
def test_factors_stay_between_nothing_and_the_peak(schedule: Schedule, progress: float) -> None:
    assert 0 <= schedule.factor(progress) <= 1


@given(schedules(), progresses, progresses)
def test_the_rate_rises_to_the_peak_and_never_again_after(schedule: Schedule, a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    top = end_of_rise(schedule)
    if high < top:
        assert schedule.factor(low) <= schedule.factor(high)
    if low >= top:
        assert schedule.factor(low) >= schedule.factor(high) - 1e-12


@given(schedules())
def test_the_peak_is_reached_and_the_first_step_moves(schedule: Schedule) -> None:
    assert schedule.factor(end_of_rise(schedule)) == pytest.approx(1)
    assert schedule.factor(0) > 0


@given(shares, shares)
def test_the_ends(first: float, final: float) -> None:
    assert Cosine(first, final).factor(1) == pytest.approx(final)
    assert OneCycle(first).factor(1) == 0
    assert Constant(first).factor(1) == 1
    decay = min(0.99, 1 - first)
    if decay > 0 and first + decay <= 1:
        assert WarmupStableDecay(first, decay).factor(1) == pytest.approx(0, abs=1e-6)


def test_formulas() -> None:
    assert Cosine(0.2, 0.1).factor(0.6) == pytest.approx(0.1 + 0.9 * 0.5)
    assert Cosine(0.2).factor(0.1) == pytest.approx(0.5)
    assert OneCycle(0.25).factor(0.625) == pytest.approx(0.5)
    assert WarmupStableDecay(0.1, 0.2).factor(0.8) == 1
    assert WarmupStableDecay(0.1, 0.2).factor(0.85) == pytest.approx(1 - math.sqrt(0.25))
    assert WarmupStableDecay(0.1, 0).factor(1) == 1


@pytest.mark.parametrize("value", [-0.1, 1.0, 2.0, float("nan")])
def test_wrong_shares_are_named(value: float) -> None:
    for make, key in ((Cosine, "warmup"), (Cosine, "final"), (OneCycle, "peak"), (Constant, "warmup")):
        with pytest.raises(InputError, match=rf"^schedule\.{key}={value!r} must be at least 0 and below 1$"):
            make(**{key: value})


def test_all_mistakes_together() -> None:
    with pytest.raises(InputError) as caught:
        Cosine(-1, 2)
    assert len(caught.value.mistakes) == 2
    with pytest.raises(InputError, match=r"schedule.warmup=0.6 and schedule.decay=0.6 exceed 1 together"):
        WarmupStableDecay(0.6, 0.6)
