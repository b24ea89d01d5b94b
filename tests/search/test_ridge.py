"""Bayesian ridge regression: a line is found, noise shrunk away, left-out rows predicted without them."""

from __future__ import annotations

import numpy as np
import pytest

from nas.search.ridge import fit

STREAM = np.random.default_rng(0)


def test_a_line_is_found_whatever_the_scales() -> None:
    rows = STREAM.normal(size=(60, 3)) * [1.0, 1e4, 1e-4] + [0.0, 7.0, 3.0]
    values = 2 + rows @ [1.0, -2e-4, 3e4] + 0.01 * STREAM.normal(size=60)
    model = fit(rows, values)
    assert model.predict(rows) == pytest.approx(values, abs=0.1)
    assert model.left_out == pytest.approx(values, abs=0.1)


def test_of_noise_it_says_the_mean() -> None:
    rows, values = STREAM.normal(size=(40, 30)), 5 + STREAM.normal(size=40)
    predicted = fit(rows, values).predict(STREAM.normal(size=(100, 30)))
    assert np.abs(predicted - values.mean()).mean() < 0.5


def test_a_feature_that_never_differed_has_no_say() -> None:
    rows = np.hstack([STREAM.normal(size=(20, 1)), np.full((20, 1), 3.0)])
    model = fit(rows, rows[:, 0])
    assert model.predict(np.array([[0.5, 1e9]])) == pytest.approx(0.5, abs=0.01)


def test_left_out_rows_are_predicted_as_by_models_without_them() -> None:
    rows = STREAM.normal(size=(30, 4))
    values = rows @ [1.0, 2.0, 0.0, -1.0] + 0.1 * STREAM.normal(size=30)
    without = [
        fit(np.delete(rows, i, 0), np.delete(values, i)).predict(rows[i : i + 1])[0] for i in range(30)
    ]
    assert fit(rows, values).left_out == pytest.approx(without, abs=0.05)  # but for shrinkage and scales
