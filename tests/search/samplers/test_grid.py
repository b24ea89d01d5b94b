"""The grid: everything once, then an end."""

from __future__ import annotations

import itertools
import random
import sys
import threading
import time
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from nas.errors import InputError
from nas.search.samplers import Grid
from nas.search.samplers.grid import Exhausted
from nas.search.spaces.guide import Guide
from nas.search.spaces.space import Space


def conditional(trial: optuna.Trial) -> float:
    """Hold 2 * (3 + 2) + 3 = 13 configurations: numbers, choices, and parameters that come and go."""
    kind = trial.suggest_categorical("kind", ["conv", "attn", "none"])
    if kind == "conv":
        return float(trial.suggest_int("width", 2, 6, step=2)) + trial.suggest_float(
            "rate", 0.0, 0.1, step=0.1
        )
    if kind == "attn":
        return float(trial.suggest_int("heads", 1, 2, log=True)) + trial.suggest_categorical("bias", [0, 1])
    return float(trial.suggest_int("depth", 1, 3))


def tried(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [tuple(t.params.items()) for t in study.trials]


def grid(seed: int = 0, **settings: Any) -> optuna.Study:
    return optuna.create_study(sampler=Grid(seed=seed, **settings))


@pytest.mark.parametrize("n_jobs", [1, 2, 3, 8])
@pytest.mark.parametrize("seed", range(10))
def test_every_configuration_once_and_then_the_study_stops(n_jobs: int, seed: int) -> None:
    study, before = grid(seed), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads meet between any two steps
    try:
        study.optimize(conditional, n_trials=100, n_jobs=n_jobs)
    finally:
        sys.setswitchinterval(before)
    done = [t for t in study.trials if t.state is TrialState.COMPLETE]
    assert len({tuple(t.params.items()) for t in done}) == len(done) == 13
    assert study.sampler.exhausted(study) == "the space holds 13 configurations, all are tried"  # type: ignore[attr-defined]
    study.optimize(conditional, n_trials=5)
    assert sum(t.state is TrialState.COMPLETE for t in study.trials) == 13


def test_a_thread_without_anything_to_try_waits_for_what_another_one_comes_upon() -> None:
    slow_has_begun = threading.Event()

    def objective(trial: optuna.Trial) -> float:
        if trial.suggest_categorical("kind", ["quick", "slow"]) == "quick":
            slow_has_begun.wait(60)
            return 0.0
        slow_has_begun.set()
        time.sleep(
            0.2
        )  # the other thread is done with all that is known by then, and must neither stop nor end
        return float(trial.suggest_int("depth", 1, 4))

    for seed in range(4):
        slow_has_begun.clear()
        study = grid(seed)
        study.optimize(objective, n_trials=5, n_jobs=2)
        assert len(set(tried(study))) == len(study.trials) == 5


def test_whoever_asks_and_tells_in_one_thread_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Condition, "wait", None)
    study = grid()
    trials = [study.ask() for _ in range(13)]
    assert len({conditional(trial) for trial in trials}) > 1
    with pytest.raises(Exhausted):
        conditional(study.ask())


def test_in_natural_order_the_last_parameter_changes_first() -> None:
    study = grid(shuffle=False)
    study.optimize(lambda t: t.suggest_int("a", 0, 1) + t.suggest_categorical("b", [7, 8, 9]), n_trials=6)
    assert [tuple(t.params.values()) for t in study.trials] == list(itertools.product((0, 1), (7, 8, 9)))


def test_another_process_goes_on_and_running_and_failed_trials_count() -> None:
    storage = optuna.storages.InMemoryStorage()
    first = optuna.create_study(study_name="s", storage=storage, sampler=Grid(seed=0))
    first.optimize(conditional, n_trials=4)
    running = first.ask()
    conditional(running)
    first.tell(running.number, state=TrialState.FAIL)
    conditional(first.ask())  # goes on for ever
    again = optuna.load_study(study_name="s", storage=storage, sampler=Grid(seed=1))
    again.optimize(conditional, n_trials=100)
    assert len(set(tried(again))) == len(again.trials) == 13
    with pytest.raises(Exhausted, match="13 configurations"):
        conditional(again.ask())


def test_a_continuous_parameter_is_refused_in_one_line() -> None:
    with pytest.raises(InputError) as caught:
        grid().optimize(lambda t: t.suggest_float("rate", 1e-4, 1e-2, log=True), n_trials=1)
    assert caught.value.mistakes == (
        "sampler=grid: rate is continuous, from 0.0001 to 0.01: give it a step, or a list of values",
    )
    space = Space(
        {"optimizer.lr": {"low": 1e-4, "high": 1e-2}, "a": [1, 2], "schedule.decay": {"low": 0, "high": 0.5}}
    )
    with pytest.raises(InputError) as caught:
        Grid().guide(Guide(space, lambda values: True))
    assert len(caught.value.mistakes) == 2


def test_a_space_that_is_known_is_enumerated_without_what_is_forbidden() -> None:
    space = Space(
        {
            "encoder.hidden_cls": {"slots": {"low": 1, "high": 3}, "choices": ["a", "b"]},
            "encoder.blocks.b.n": [1, 2],
            "lr": {"low": 0.1, "high": 0.2, "step": 0.1},
        },
        forbid=["count(encoder.hidden_cls, 'a') > 2"],
    )
    stream = random.Random(0)
    every = {tuple(space.draw(stream).items()) for _ in range(2000)}
    wanted = {v for v in every if space.forbidden(dict(v)) is None}
    sampler = Grid(seed=0)
    sampler.guide(Guide(space, lambda values: space.forbidden(values) is None))
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda t: float(len(space.walk(lambda p: p.suggest(t)))), n_trials=1000)
    assert set(tried(study)) == wanted
    assert len(study.trials) == len(wanted) < len(every) == space.size()
    assert sampler.exhausted(study).startswith(f"the space holds {len(wanted)} ")


def test_a_parameter_that_grows_brings_new_configurations() -> None:
    study = grid()
    study.optimize(lambda t: float(t.suggest_int("a", 0, 2)), n_trials=9)
    assert len(study.trials) == 3
    study.optimize(lambda t: float(t.suggest_int("a", 0, 4)), n_trials=2)
    assert {t.params["a"] for t in study.trials} == {0, 1, 2, 3, 4}


def test_enqueued_trials_are_not_tried_again() -> None:
    study = grid()
    study.enqueue_trial({"kind": "attn", "heads": 2, "bias": 1})
    study.optimize(conditional, n_trials=50)
    assert len(set(tried(study))) == len(study.trials) == 13
