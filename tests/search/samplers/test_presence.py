"""What finished trials tell of when a parameter is asked for."""

from __future__ import annotations

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nas.search.samplers import Surrogate
from nas.search.samplers.encoding import Array, Encoding
from nas.search.samplers.presence import Presence

SPACE = {
    "length": IntDistribution(1, 3),
    "slot.0": CategoricalDistribution(["a", "b"]),
    "slot.1": CategoricalDistribution(["a", "b"]),
    "slot.2": CategoricalDistribution(["a", "b"]),
    "kind": CategoricalDistribution(["x", "y", "z"]),
    "rate": FloatDistribution(0, 1),
    "bend": FloatDistribution(0, 1),
}


def conditional(rng: np.random.Generator, count: int) -> Array:
    """Draw rows in which slots follow the length, the rate the kind, and the bend the rate."""
    rows = Encoding(SPACE).random(rng, count)
    rows[rows[:, 0] < 0.25, 2] = np.nan
    rows[rows[:, 0] < 0.75, 3] = np.nan
    rows[rows[:, 4] == 2, 5] = np.nan
    rows[np.isnan(rows[:, 5]) | (rows[:, 5] < 0.5), 6] = np.nan
    return rows


def test_rules_are_found_and_hold_for_other_rows() -> None:
    rng = np.random.default_rng(0)
    encoding = Encoding(SPACE)
    presence = Presence(conditional(rng, 80), encoding.is_categorical)
    assert {rule.column for rule in presence.rules} == {2, 3, 5, 6}
    fresh = conditional(rng, 200)
    sure = fresh[(np.abs(fresh[:, 5] - 0.5) > 0.1) | np.isnan(fresh[:, 5])]
    assert not presence.contradicted(sure)
    settled = presence.settle(np.where(np.isnan(sure), 0.0, sure), np.zeros_like(sure))
    assert np.array_equal(np.isnan(settled), np.isnan(sure))
    wrong = sure[:1].copy()
    wrong[0, 0], wrong[0, 3] = 0.0, 1.0
    assert presence.contradicted(wrong)


def test_what_no_other_parameter_explains_has_no_rule() -> None:
    rng = np.random.default_rng(0)
    encoding = Encoding(SPACE)
    rows = encoding.random(rng, 60)
    rows[rng.random(60) < 0.5, 5] = np.nan
    assert Presence(rows, encoding.is_categorical).rules == []


def test_a_study_of_conditional_parameters_is_searched_well_without_being_told() -> None:
    def objective(trial: optuna.Trial) -> float:
        length = trial.suggest_int("length", 1, 6)
        slots = [trial.suggest_categorical(f"slot.{i}", list("abcd")) for i in range(length)]
        return length + sum("dcba".index(s) for s in slots) - 4 * (length == 4)

    study = optuna.create_study(sampler=Surrogate(seed=0))
    study.optimize(objective, n_trials=40)
    assert study.best_value == 0.0
