"""The Gaussian process: its gradient, what it learns about parameters, and how its predictions behave."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nas.search.samplers.encoding import Array, Encoding
from nas.search.samplers.features import Features
from nas.search.samplers.kernel import Kernel
from nas.search.samplers.likeness import Likeness
from nas.search.samplers.process import Belief, Process

SLOTS: dict[str, BaseDistribution] = {f"slot.{i}": CategoricalDistribution(list("abcd")) for i in range(5)}
NUMBERS: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "width": IntDistribution(1, 64, log=True),
}


def drawn(space: dict[str, BaseDistribution], count: int, seed: int = 0) -> tuple[Encoding, Array]:
    encoding = Encoding(space)
    return encoding, encoding.random(np.random.default_rng(seed), count)


ORDERED: dict[str, BaseDistribution] = {
    "depth": CategoricalDistribution([2, 4, 6, 12]),
    "drop": CategoricalDistribution([0.5, 0.0, 0.1, 0.3]),
}


@pytest.mark.parametrize(
    "space",
    [
        {**SLOTS, **NUMBERS},
        SLOTS,
        NUMBERS,
        {"rate": NUMBERS["rate"]},
        ORDERED,
        {**SLOTS, **ORDERED, **NUMBERS},
    ],
)
def test_the_slope_is_that_of_the_evidence(space: dict[str, BaseDistribution]) -> None:
    encoding, rows = drawn(space, 15)
    rng = np.random.default_rng(1)
    if len(space) > 1:
        rows[3, -1] = rows[7, 0] = np.nan
    features = Features(encoding, rows)
    likeness = Likeness(features, features)
    belief = Belief(encoding)
    process = Process(features, rng.normal(size=15), belief, steps=0)
    settings = belief.settings + 0.3 * rng.normal(size=len(belief.settings))
    steps = 1e-5 * np.eye(len(settings))
    numeric = [
        (process.evidence(likeness, settings + s) - process.evidence(likeness, settings - s)) / 2e-5
        for s in steps
    ]
    assert process.slope(likeness, settings) == pytest.approx(np.array(numeric), abs=1e-6)


def test_covariances_are_1_for_equal_rows_and_positive_definite() -> None:
    encoding, rows = drawn({**SLOTS, **NUMBERS}, 40)
    rows[:10, 2] = np.nan
    features = Features(encoding, rows)
    covariance = Kernel(Belief(encoding).layout, Belief(encoding).settings).covariance(
        Likeness(features, features)
    )
    assert np.diag(covariance) == pytest.approx(np.ones(40))
    assert np.linalg.eigvalsh(covariance).min() > -1e-9


def test_covariances_are_positive_definite_where_numbers_are_close_or_not_asked_for() -> None:
    numbers: dict[str, BaseDistribution] = {f"x{i}": FloatDistribution(0, 1) for i in range(3)}
    encoding, rows = drawn({"a": SLOTS["slot.0"], **numbers}, 40)
    rng = np.random.default_rng(2)
    rows[:, 1] = np.linspace(0, 1, 40)
    rows[rng.random(40) < 0.3, 2] = rows[:8, 1] = np.nan
    features, belief = Features(encoding, rows), Belief(encoding)
    for _ in range(20):
        settings = belief.settings + 1.5 * rng.normal(size=len(belief.settings))
        covariance = Kernel(belief.layout, settings).covariance(Likeness(features, features))
        assert np.diag(covariance) == pytest.approx(np.ones(40))
        assert np.linalg.eigvalsh(covariance).min() > -1e-7


def test_it_learns_that_few_of_many_parameters_matter() -> None:
    space: dict[str, BaseDistribution] = {f"p{i}": CategoricalDistribution(list("abcd")) for i in range(30)}
    encoding, rows = drawn(space, 70)
    values = 1.0 * (rows[:, 3] == 0) + (rows[:, 8] == 1) * (1 + (rows[:, 17] > 1)) + (rows[:, 25] == 2)
    belief = Belief(encoding)
    Process(Features(encoding, rows), (values - values.mean()) / values.std(), belief, steps=60)
    relevance = Kernel(belief.layout, belief.settings).relevance
    assert relevance[[3, 8, 17, 25]].sum() > 0.95


def test_it_learns_which_parameter_matters() -> None:
    encoding, rows = drawn(SLOTS, 40)
    values = rows[:, 1] - rows[:, 1].mean()
    belief = Belief(encoding)
    process = Process(Features(encoding, rows), values / values.std(), belief, steps=40)
    assert np.exp(belief.settings[:5]).argmax() == 1
    fresh = encoding.random(np.random.default_rng(5), 50)
    mean, deviation = process.predict(fresh)
    assert np.corrcoef(mean, fresh[:, 1])[0, 1] > 0.98
    assert deviation.mean() < 0.3


def test_it_learns_that_places_do_not_matter() -> None:
    encoding, rows = drawn({f"slot.{i}": CategoricalDistribution(list("abc")) for i in range(8)}, 60)

    def worth(of: Array) -> Array:
        return np.asarray((of == 0).sum(axis=1) ** 2.0)

    values = worth(rows)
    process = Process(
        Features(encoding, rows), (values - values.mean()) / values.std(), Belief(encoding), steps=40
    )
    fresh = encoding.random(np.random.default_rng(5), 100)
    assert np.corrcoef(process.predict(fresh)[0], worth(fresh))[0, 1] > 0.97


def test_what_was_observed_is_sure_unless_it_is_noisy() -> None:
    encoding, rows = drawn(SLOTS, 30)
    values = (rows[:, 0] + rows[:, 2] * rows[:, 3]) / 4 - 1
    process = Process(Features(encoding, rows), values, Belief(encoding), steps=30)
    mean, deviation = process.predict(rows)
    assert mean == pytest.approx(values, abs=0.2)
    assert mean == pytest.approx(process.expected)
    assert deviation.max() < process.predict(encoding.random(np.random.default_rng(9), 200))[1].mean()


def test_it_learns_that_choices_have_an_order() -> None:
    levels = CategoricalDistribution([2.0**i for i in range(12)])
    encoding, rows = drawn({"a": levels, "b": levels, "c": SLOTS["slot.0"]}, 40)

    def worth(of: Array) -> Array:
        return np.asarray(((of[:, :2] - (3, 8)) ** 2).sum(axis=1))

    values = worth(rows)
    belief = Belief(encoding)
    process = Process(Features(encoding, rows), (values - values.mean()) / values.std(), belief, steps=40)
    kernel = Kernel(belief.layout, belief.settings)
    assert dict(zip(belief.layout.parts, kernel.shares, strict=True))["ordered"] > 0.5
    fresh = encoding.random(np.random.default_rng(5), 100)
    assert np.corrcoef(process.predict(fresh)[0], worth(fresh))[0, 1] > 0.98


def test_choices_have_places_where_they_are_numbers() -> None:
    encoding = Encoding({**ORDERED, "yes": CategoricalDistribution([True, False, None]), **SLOTS})
    assert {encoding.names[i]: places.tolist() for i, places in encoding.places.items()} == {
        "depth": pytest.approx([0, 1 / 3, 2 / 3, 1]),
        "drop": pytest.approx([1, 0, 1 / 3, 2 / 3]),
    }
