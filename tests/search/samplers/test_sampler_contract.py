"""Every sampler's contract: each class that the package exports joins by itself."""

from __future__ import annotations

import itertools
import threading
import warnings
from typing import Any

import numpy as np
import optuna
import pytest

from nas.errors import InputError
from nas.search import samplers
from nas.search.samplers.proposing import ProposingSampler

NAMES = [name for name in samplers.__all__ if name != "auto"]
OURS = [name for name in NAMES if issubclass(getattr(samplers, name), ProposingSampler)]
NEVER_TWICE = [*OURS, "Grid"]
FORGETFUL = [name for name in NEVER_TWICE if name != "Surrogate"]  # they learn from the history alone


def make(name: str, seed: int = 0) -> optuna.samplers.BaseSampler:
    sampler: optuna.samplers.BaseSampler = getattr(samplers, name)(seed=seed)
    return sampler


def study(name: str, seed: int = 0, **settings: Any) -> optuna.Study:
    return optuna.create_study(sampler=make(name, seed), **settings)


def mixed(trial: optuna.Trial) -> float:
    """Every kind of parameter that the sampler takes, and one that only some trials have."""
    finite = isinstance(trial.study.sampler, samplers.Grid)
    kind = trial.suggest_categorical("kind", ["a", "b", None, 3])
    rate = 1e-3 if finite else trial.suggest_float("rate", 1e-5, 1e-1, log=True)
    width = trial.suggest_int("width", 8, 64, step=8)
    extra = trial.suggest_float("extra", 0.0, 1.0, step=0.25 if finite else None) if kind == "a" else 0.0
    trial.suggest_categorical("only", ["this"])
    assert width % 8 == 0
    return abs(np.log10(rate) + 3) + width / 64 + extra + (kind != "b")


def lists(trial: optuna.Trial, slots: int = 3, choices: int = 3) -> list[int]:
    return [trial.suggest_categorical(f"slot.{i}", list(range(choices))) for i in range(slots)]


@pytest.mark.parametrize("name", NAMES)
def test_any_parameters_the_same_seed_twice_and_no_warning(name: str) -> None:
    values = []
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = study(name)
            made.optimize(mixed, n_trials=25)
        values.append([t.params for t in made.trials])
    assert values[0] == values[1]
    other = study(name, seed=1)
    other.optimize(mixed, n_trials=2)
    assert [t.params for t in other.trials] != values[0][:2]


@pytest.mark.parametrize("name", NAMES)
def test_two_objectives(name: str) -> None:
    made = study(name, directions=["minimize", "maximize"])
    made.optimize(lambda t: (mixed(t), t.params["width"]), n_trials=25)
    assert len(made.best_trials) > 1


@pytest.mark.parametrize("name", NEVER_TWICE)
def test_nothing_is_proposed_twice_until_all_was(name: str) -> None:
    made = study(name)
    made.optimize(lambda t: float(sum(lists(t))), n_trials=27)
    assert len({tuple(t.params.values()) for t in made.trials}) == 27
    made.optimize(lambda t: float(sum(lists(t))), n_trials=3)


@pytest.mark.parametrize("name", NEVER_TWICE)
def test_workers_that_ask_at_once_get_different_configurations(name: str) -> None:
    made = study(name)
    made.optimize(lambda t: float(sum(lists(t))), n_trials=8)
    asked = [made.ask() for _ in range(16)]
    assert len({tuple(lists(t)) for t in asked}) == 16


@pytest.mark.parametrize("name", NEVER_TWICE)
def test_failed_pruned_and_forbidden_trials_teach(name: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        slots = lists(trial, slots=6)
        if slots[0] == 0:
            raise MemoryError("too large")
        trial.report(float(sum(slots)), step=1)
        if slots[1] == 0:
            raise optuna.TrialPruned
        trial.set_constraint("size", float(slots[2] - 1))
        return float(sum(slots))

    made = study(name)
    made.optimize(objective, n_trials=40, catch=(MemoryError,))
    states = {t.state for t in made.trials}
    assert optuna.trial.TrialState.COMPLETE in states
    if name == "Surrogate":  # it knows by then what fails and what is not allowed
        late = made.trials[25:]
        assert sum(t.params["slot.0"] == 0 for t in late) <= 4  # 5 by chance, and a third is left to it
        assert sum(t.params["slot.2"] == 2 for t in late) <= 4


@pytest.mark.parametrize("name", NEVER_TWICE)
def test_a_new_sampler_goes_on_with_an_old_study(name: str) -> None:
    storage = optuna.storages.InMemoryStorage()
    first = optuna.create_study(study_name="s", storage=storage, sampler=make(name))
    first.optimize(lambda t: float(sum(lists(t))), n_trials=15)
    again = optuna.load_study(study_name="s", storage=storage, sampler=make(name, 1))
    again.optimize(lambda t: float(sum(lists(t))), n_trials=12)
    assert len({tuple(t.params.values()) for t in again.trials}) == 27


@pytest.mark.parametrize("name", NEVER_TWICE)
def test_maximizing_is_minimizing_the_opposite(name: str) -> None:
    found = []
    for direction, sign in (("minimize", 1.0), ("maximize", -1.0)):
        made = study(name, direction=direction)
        made.optimize(lambda t, s=sign: s * float(sum(lists(t, 4))), n_trials=20)
        found.append([t.params for t in made.trials])
    assert found[0] == found[1]


@pytest.mark.parametrize("name", FORGETFUL)
def test_a_search_that_was_interrupted_goes_on_as_if_not(name: str) -> None:
    whole, interrupted = study(name), study(name)
    whole.optimize(lambda t: float(sum(lists(t))), n_trials=20)
    for _ in range(20):
        interrupted.sampler = make(name)
        interrupted.optimize(lambda t: float(sum(lists(t))), n_trials=1)
    assert [t.params for t in whole.trials] == [t.params for t in interrupted.trials]


@pytest.mark.parametrize("name", OURS)
def test_equal_values_and_a_single_configuration_do_no_harm(name: str) -> None:
    made = study(name)
    made.optimize(lambda t: 1.0 + 0 * sum(lists(t)), n_trials=20)
    alone = study(name)
    alone.optimize(lambda t: float(t.suggest_categorical("a", [1])), n_trials=12)
    infinite = study(name)
    infinite.optimize(lambda t: float("inf") if sum(lists(t)) % 2 else 0.0, n_trials=15)
    huge = study(name)
    huge.optimize(lambda t: (-1) ** sum(lists(t)) * 1e300, n_trials=15)


@pytest.mark.parametrize("name", OURS)
def test_a_choice_that_is_gone_is_no_hindrance(name: str) -> None:
    made = study(name)
    old = {"a": optuna.distributions.CategoricalDistribution(["x", "gone"])}
    new = {"a": optuna.distributions.CategoricalDistribution(["x", "y", "z"])}
    for params, space in ([{"a": "gone"}, old], [{"a": "x"}, old], [{"a": "y"}, new]):
        made.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=1.0))
    trial = make(name)
    made.sampler = trial
    proposed = made.ask(new)
    assert proposed.params["a"] in ("x", "y", "z")


@pytest.mark.parametrize("name", ["Surrogate", "TPE", "NSGA2"])
def test_a_function_tells_which_trials_are_feasible(name: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        slots = lists(trial, 6)
        if trial.number == 7:
            raise optuna.TrialPruned
        return float(sum(slots))

    def told(trial: optuna.trial.FrozenTrial) -> list[float]:
        return [1.0 - trial.params["slot.0"], float(trial.params["slot.1"] - 1)]

    sampler: Any = make(name)
    sampler.constraints_func = told
    made = optuna.create_study(sampler=sampler)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.optimize(objective, n_trials=80)
    assert all([*t.constraints.values()] == told(t) for t in made.trials)
    assert sum(t.params["slot.0"] == 0 for t in made.trials[40:]) <= 8  # 13 by chance
    assert made.best_trial.params["slot.0"] > 0


def test_a_function_tells_auto_what_is_feasible_of_several_objectives() -> None:
    def objective(trial: optuna.Trial) -> tuple[float, float]:
        slots = lists(trial, 6)
        return float(sum(slots)), float(slots.count(2))

    sampler = samplers.auto(0, constraints_func=lambda t: (1.0 - t.params["slot.0"],))
    made = optuna.create_study(sampler=sampler, directions=["minimize", "maximize"])
    made.optimize(objective, n_trials=40)
    assert sum(t.params["slot.0"] == 0 for t in made.trials[25:]) <= 4
    assert made.best_trials
    assert all(t.params["slot.0"] > 0 for t in made.best_trials)


def test_a_constraint_that_is_no_number_is_refused() -> None:
    made = optuna.create_study(sampler=samplers.auto(0, constraints_func=lambda t: [float("nan")]))
    with pytest.raises(InputError, match=r"constraints_func gave \[nan\] for trial 0"):
        made.optimize(lambda t: float(sum(lists(t))), n_trials=1)


@pytest.mark.parametrize("name", OURS)
def test_a_constraint_may_be_broken_infinitely(name: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        slots = lists(trial)
        trial.set_constraint("fits", float("inf") if slots[0] == 0 else float(slots[1] - 1))
        return float(sum(slots))

    made = study(name)
    made.optimize(objective, n_trials=25)
    assert made.best_trial.params["slot.0"] > 0


@pytest.mark.parametrize("name", OURS)
def test_a_parameter_that_another_thread_asked_for_in_between(name: str) -> None:
    made = study(name)
    made.optimize(lambda t: float(sum(lists(t, 2))), n_trials=3)
    number = made.ask().number
    space = made.sampler.infer_relative_search_space(made, made.trials[number])
    made.optimize(lambda t: float(sum(lists(t, 4))), n_trials=3)
    assert made.sampler.sample_relative(made, made.trials[number], space).keys() == space.keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_that_is_fixed(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        fixed = optuna.samplers.PartialFixedSampler({"slot.1": 2}, make(name))
    made = optuna.create_study(sampler=fixed)
    made.optimize(lambda t: float(sum(lists(t))), n_trials=9)
    assert {t.params["slot.1"] for t in made.trials} == {2}


@pytest.mark.parametrize("name", NAMES)
def test_hyperband_shows_a_sampler_a_part_of_the_trials(name: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        value = mixed(trial)
        for step in range(1, 10):
            trial.report(value / step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9)
    made = study(name, pruner=pruner)
    made.optimize(objective, n_trials=30)
    assert {t.state.name for t in made.trials} == {"COMPLETE", "PRUNED"}


def test_a_grid_stops_a_study_with_hyperband() -> None:
    made = study("Grid", pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9))
    made.optimize(lambda t: float(sum(lists(t, 2))), n_trials=30)
    assert len(made.trials) == 9


@pytest.mark.parametrize("name", OURS)
def test_vast_parameters(name: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        whole = trial.suggest_int("whole", -(2**62), 2**62)
        fine = trial.suggest_float("fine", 0.0, 1e10, step=1e-9)
        kind = trial.suggest_categorical("kind", list(range(1000)))
        return whole / 2**62 + fine / 1e10 + kind / 1000

    made = study(name)
    made.optimize(objective, n_trials=25)
    assert len({tuple(t.params.values()) for t in made.trials}) == 25
    assert all(-(2**62) <= t.params["whole"] <= 2**62 for t in made.trials)


def landscape(k: int, seed: int, slots: int = 8, choices: int = 6) -> Any:
    """Return an NK landscape (Kauffman 1987): each slot's worth depends on itself and the k next ones."""
    rng = np.random.default_rng(seed)
    tables = [rng.random((choices,) * (k + 1)) for _ in range(slots)]

    def value(listed: list[int]) -> float:
        return float(
            np.mean([t[tuple(listed[(i + j) % slots] for j in range(k + 1))] for i, t in enumerate(tables)])
        )

    return value


def test_auto_finds_in_35_trials_what_random_finds_in_100() -> None:
    ahead = []
    for seed, k in itertools.product(range(2), (0, 1, 2)):
        value = landscape(k, seed)
        best = {}
        for name, sampler, trials in (
            ("auto", samplers.auto(seed), 35),
            ("random", make("Random", seed), 100),
        ):
            made = optuna.create_study(sampler=sampler, direction="maximize")
            made.optimize(lambda t, f=value: f(lists(t, 8, 6)), n_trials=trials)
            best[name] = made.best_value
        ahead.append(best["auto"] - best["random"])
    assert np.mean(ahead) > 0.02


def test_auto_looks_elsewhere_when_nothing_better_comes() -> None:
    made = optuna.create_study(sampler=samplers.auto(0), direction="maximize")
    made.optimize(lambda t: float(lists(t, 8, 4)[:2].count(0)), n_trials=70)
    late = [t.values[0] for t in made.trials[30:]]
    assert sum(value < 2 for value in late) >= 5
    assert sum(value == 2 for value in late) >= 20


@pytest.mark.parametrize("name", OURS)
def test_threads_of_one_study_get_different_configurations(name: str) -> None:
    made = study(name)
    made.optimize(lambda t: float(sum(lists(t, 4))), n_trials=30, n_jobs=4)
    assert len({tuple(t.params.values()) for t in made.trials}) == 30


def test_threads_that_begin_at_once_get_different_configurations_of_a_space_nobody_has_seen() -> None:
    for seed in range(10):
        made, together = study("Random", seed), threading.Barrier(8)

        def objective(trial: optuna.Trial, together: threading.Barrier = together) -> float:
            together.wait(60)  # nobody knows a parameter before all have begun
            return float(sum(lists(trial)))

        made.optimize(objective, n_trials=8, n_jobs=8)
        assert len({tuple(t.params.values()) for t in made.trials}) == 8


def test_what_runs_may_not_have_all_its_values_and_is_not_repeated_either() -> None:
    made = study("RegularizedEvolution")
    begun = made.ask()
    begun.suggest_categorical("slot.0", [0, 1])
    for _ in range(7):
        lists(made.ask(), choices=2)
    assert len({tuple(t.params.values()) for t in made.trials[1:]}) == 7
    lists(begun, choices=2)
    assert len({tuple(t.params.values()) for t in made.trials}) == 8
