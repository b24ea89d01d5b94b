"""What trials that were cut off are taken to have come to, of any steps, objectives and numbers."""

from __future__ import annotations

import numpy as np

from nas.search.samplers.curves import END, Curves


def carried(curves: Curves, values: list[list[float]], *numbers: int) -> list[list[float]]:
    told: list[list[float]] = curves.carried(np.array(numbers), np.array(values)).tolist()
    return told


def test_each_objective_gains_what_others_gained_on_average() -> None:
    curves = Curves(2)
    for number, gain in enumerate((1.0, 2.0, 6.0)):
        curves.put(number, {25: (9.0, 5.0), END: (9.0 - gain, 5.0)})
    curves.put(3, {25: (9.5, 4.0)})
    assert carried(curves, [[9.5, 4.0], [8.0, 5.0]], 3, 0) == [[6.5, 4.0], [8.0, 5.0]]


def test_the_gains_of_several_steps_add_up_and_steps_that_nobody_shares_are_passed_over() -> None:
    curves = Curves(1)
    curves.put(0, {25: [3.0], 50: [2.0]})
    curves.put(1, {10: [4.0], 50: [2.5], END: [2.0]})
    curves.put(2, {30: [9.0]})
    assert carried(curves, [[2.0], [2.0], [9.0]], 0, 1, 2) == [[1.5], [2.0], [9.0]]
    curves.put(3, {25: [3.5]})
    assert carried(curves, [[3.5]], 3) == [[2.0]]


def test_what_failed_is_not_carried_and_values_that_are_no_numbers_teach_nothing() -> None:
    curves = Curves(1)
    curves.put(0, {})
    curves.put(1, {25: [float("nan")], END: [1.0]})
    curves.put(2, {25: [5.0], END: [float("inf")]})
    curves.put(3, {25: [3.0]})
    assert np.isnan(carried(curves, [[float("nan")]], 0)).all()
    assert carried(curves, [[3.0]], 3) == [[3.0]]


def test_more_trials_than_there_was_room_for_and_trials_that_go_on() -> None:
    curves = Curves(1)
    curves.put(0, {25: [3.0]})
    curves.put(200, {25: [2.0], END: [1.0]})
    assert carried(curves, [[3.0], [1.0]], 0, 200) == [[2.0], [1.0]]
    curves.drop(200)
    assert carried(curves, [[3.0]], 0) == [[3.0]]


def test_trials_that_tell_of_every_epoch_are_left_as_they_are() -> None:
    curves = Curves(1)
    curves.put(0, {epoch: [1.0 / epoch] for epoch in range(1, 50)})
    curves.put(1, {1: [1.0], END: [0.1]})
    assert carried(curves, [[0.02]], 0) == [[0.02]]
