"""The bench ``functions``: every function is one of its seed, and every sampler is asked as Optuna asks."""

from __future__ import annotations

import json

import numpy as np
import optuna
import pytest

from nas.bench.functions import FunctionsBench, _reach
from nas.bench.synthetic import FUNCTIONS, TRUE
from nas.errors import InputError
from nas.progress import silent

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_seed_is_one_function(name: str) -> None:
    values = []
    for seed in (3, 3, 4):
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
        study.optimize(FUNCTIONS[name](seed), 5)
        values.append([trial.value for trial in study.trials])
        assert ("noisy" in name) == (TRUE in study.trials[0].user_attrs)
    assert values[0] == values[1] != values[2]


def test_every_sampler_is_measured_and_told() -> None:
    made = FunctionsBench(["auto", "optuna_tpe"], ["conditional", "noisy k=1"], evaluations=6, seeds=2)
    results = made.measure(0, silent)
    assert json.loads(json.dumps(results)) == results
    rows = results["rows"]
    assert [row["sampler"] for row in rows] == ["random", "auto", "optuna_tpe"] * 2
    assert all(len(row["mean"]) == 6 for row in rows)
    assert all((np.diff(row["mean"]) >= 0).all() for row in rows if row["function"] == "conditional")
    assert all(1 <= row["reach"] <= 7 for row in rows)
    assert made.tables(results)


def test_a_goal_that_is_never_reached_counts_one_more() -> None:
    assert [_reach(np.array([1.0, 2.0, 3.0]), goal) for goal in (1.0, 2.5, 9.0)] == [1, 3, 4]


def test_wrong_names_are_told() -> None:
    with pytest.raises(InputError) as caught:
        FunctionsBench(["autos"], ["mixd"])
    assert [m.split("=")[0] for m in caught.value.mistakes] == ["bench.samplers", "bench.functions"]
