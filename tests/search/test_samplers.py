"""What every sampler keeps: quiet, reproducible, at home in any Optuna study."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import optuna
import pytest

from nas.config.compose import compose
from nas.search.samplers.random import Random
from nas.search.samplers.tpe import TPE

optuna.logging.set_verbosity(optuna.logging.WARNING)
Sampler = Callable[..., optuna.samplers.BaseSampler]
EVERY = pytest.mark.parametrize("make", [TPE, Random])


def objective(trial: optuna.Trial) -> float:
    kinds = [trial.suggest_categorical(f"slot.{i}", ["a", "b", "c"]) for i in range(3)]
    rate = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    depth = trial.suggest_int("depth", 1, 4) if kinds[0] == "a" else 0  # a conditional parameter
    return kinds.count("b") + rate + depth


def proposals(make: Sampler, seed: int, trials: int = 20) -> list[dict[str, object]]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study = optuna.create_study(sampler=make(seed=seed))
        study.optimize(objective, n_trials=trials)
    return [trial.params for trial in study.trials]


@EVERY
def test_a_plain_study_can_use_it_without_a_warning(make: Sampler) -> None:
    assert len(proposals(make, seed=0)) == 20


@EVERY
def test_one_seed_gives_the_same_proposals(make: Sampler) -> None:
    assert proposals(make, seed=3) == proposals(make, seed=3)
    assert proposals(make, seed=3) != proposals(make, seed=4)


@EVERY
def test_several_trials_may_be_asked_for_at_once(make: Sampler) -> None:
    study = optuna.create_study(sampler=make(seed=0))
    study.optimize(objective, n_trials=10)
    trials = [study.ask() for _ in range(4)]
    for trial in trials:
        study.tell(trial, objective(trial))
    assert len(study.trials) == 14


def test_tpe_finds_better_than_its_first_trials() -> None:
    study = optuna.create_study(sampler=TPE(seed=0))
    study.optimize(objective, n_trials=40)
    values = [trial.value for trial in study.trials if trial.value is not None]
    assert sum(values[20:]) / 20 < sum(values[:8]) / 8


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_the_group_names_it(name: str) -> None:
    assert compose("search", [f"sampler={name}"]).choices["sampler"] == name
