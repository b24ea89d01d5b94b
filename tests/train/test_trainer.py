from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import InputError
from nas.train.trainer import Trainer


def test_no_budget_is_an_error() -> None:
    with pytest.raises(InputError, match=r"^trainer: a budget is needed: one of trainer\.steps"):
        Trainer(steps=None)


def test_several_budgets_are_an_error_that_shows_them() -> None:
    with pytest.raises(InputError) as caught:
        Trainer(steps=300, tokens=1000)
    assert str(caught.value) == (
        "trainer.steps=300 and trainer.tokens=1000: only one budget is allowed; "
        "set the other to null (such as trainer.steps=null)"
    )


@pytest.mark.parametrize(
    "key", ["steps", "batch_size", "clip_norm", "threads", "log_every", "checkpoint_seconds"]
)
def test_values_must_be_positive(key: str) -> None:
    with pytest.raises(InputError, match=rf"^trainer\.{key}=0 must be greater than 0$"):
        Trainer(**{key: 0})


@pytest.mark.parametrize("key", ["clip_norm", "checkpoint_seconds"])
def test_nan_is_not_positive(key: str) -> None:
    with pytest.raises(InputError, match=rf"^trainer\.{key}=nan must be greater than 0$"):
        Trainer(**{key: math.nan})


def test_a_run_has_to_end() -> None:
    with pytest.raises(InputError, match=r"^trainer\.seconds=inf must be finite"):
        Trainer(steps=None, seconds=math.inf)


def test_so_many_threads_would_end_the_process() -> None:
    with pytest.raises(InputError, match=r"^trainer\.threads=100000 must be at most 1024$"):
        Trainer(threads=100_000)


@pytest.mark.parametrize("shares", [[0.0, 0.5], [1.5], [-0.1]])
def test_rungs_are_shares_of_the_budget(shares: list[float]) -> None:
    with pytest.raises(InputError, match=r"trainer.evaluate_at=.* must be shares of the budget in \(0, 1\]"):
        Trainer(evaluate_at=shares)


def test_all_mistakes_are_told_together() -> None:
    with pytest.raises(InputError) as caught:
        Trainer(steps=None, batch_size=0, threads=-1, evaluate_at=[2.0])
    assert len(caught.value.mistakes) == 4


def test_the_end_is_always_evaluated_once() -> None:
    assert Trainer().evaluate_at == [1.0]
    assert Trainer(evaluate_at=[1.0, 0.5, 0.5]).evaluate_at == [0.5, 1.0]


@given(
    st.sampled_from([{"steps": 7}, {"steps": None, "tokens": 1000}, {"steps": None, "seconds": 3.5}]),
    st.integers(0, 50),
)
def test_progress_grows_to_one(budget: dict[str, Any], step: int) -> None:
    trainer = Trainer(**budget)
    now, then = (trainer.progress(s, 32, s * 0.1) for s in (step, step + 1))
    assert 0 <= now <= then <= 1
    assert trainer.progress(0, 32, 0.0) == 0
    assert trainer.progress(1000, 32, 100.0) == 1
