"""The race up the rungs: who goes on, is paused, continued, bold or hopeless, through any restart."""

from __future__ import annotations

from typing import Any

import pytest

from nas.files import read_json
from nas.search.objectives import Objective
from nas.search.rungs import reports
from nas.search.samplers.reader import Reader

SIZE = Objective("cost/parameters", "minimize")
LOSS, ACCURACY = Objective("val/loss", "minimize"), Objective("val/accuracy", "maximize")


def test_the_better_half_goes_on_and_the_rest_is_paused(track: Any) -> None:
    racing = track()
    numbers = [racing.begin() for _ in range(4)]
    answers = [racing.report(n, 0.25, loss) for n, loss in zip(numbers, (3.0, 2.0, 1.0, 2.5), strict=True)]
    assert answers == ["go on", "go on", "go on", "pause"]  # who is alone is the best
    row = racing.row(3)
    assert (row["state"], row["value"], row["reason"]) == ("PAUSED", 2.5, "paused at 25 %")
    assert (row["architecture"], row["seconds"]) == ("a", 1.0)


def test_a_paused_trial_is_continued_once_it_is_among_the_best(track: Any) -> None:
    racing = track()
    best, second, third, fourth = (racing.begin() for _ in range(4))
    assert racing.report(best, 0.25, 1.0) == "go on"
    assert racing.report(second, 0.25, 2.0) == "pause"
    assert racing.report(third, 0.25, 3.0) == "pause"
    assert racing.study.next(4) is None
    assert racing.report(fourth, 0.25, 4.0) == "pause"
    order = racing.study.next(4)  # two of four
    assert order.number == second
    assert racing.begin(order, key=str(second)) == second
    assert racing.row(second)["state"] == "RUNNING"
    assert racing.study.next(4) is None
    assert racing.report(best, 0.5, 0.9) == "go on"
    assert racing.report(second, 0.5, 1.9) == "pause"
    assert racing.study.asked() == 4


def test_the_highest_rung_is_served_first(track: Any) -> None:
    racing = track()
    first, *others = (racing.begin() for _ in range(8))
    racing.report(first, 0.25, 1.0)
    for loss, number in enumerate(others, 2):
        racing.report(number, 0.25, float(loss))
    racing.report(first, 0.5, 1.0)
    continued = [racing.continue_next(8) for _ in range(3)]
    assert continued == others[:3]  # of eight, the best four may go on
    assert [racing.report(number, 0.5, 1.0 + number) for number in continued] == ["pause"] * 3
    racing.end(first, 0.8)
    for _ in range(2):  # now ten have come to the lower rung, and five may go on
        assert racing.report(racing.begin(), 0.25, 20.0) == "pause"
    waiting = {row["number"]: row["reason"] for row in racing.study.rows() if row["state"] == "PAUSED"}
    assert waiting[others[0]] == "continued from 25 %; paused at 50 %"
    assert waiting[others[3]] == "paused at 25 %"
    assert racing.continue_next(10) == others[0]  # the second of four at the higher rung
    racing.end(others[0], 0.7)
    row = racing.row(others[0])
    assert row["reason"] == "continued from 25 %; continued from 50 %"
    assert (row["state"], row["value"]) == ("COMPLETE", 0.7)
    assert racing.continue_next(10) == others[3]


def test_what_is_still_paused_at_the_end_stays_so_until_more_trials_are_wanted(track: Any) -> None:
    racing = track()
    second, first = racing.begin(), racing.begin()
    racing.report(second, 0.25, 1.0)
    racing.report(first, 0.25, 2.0)
    assert not racing.study.is_complete(2)  # one is in a worker's hands, and may let the other go on
    racing.end(second, 1.0)
    assert racing.study.next(2) is None
    racing = track()
    assert racing.study.is_complete(2)
    row = racing.row(first)
    assert (row["state"], row["value"], row["reason"]) == ("PAUSED", 2.0, "paused at 25 %")
    assert row["overrides"]
    racing.study.write(workers=1, n_trials=2, sampler="random", seconds=1.0, finished=True)
    assert read_json(racing.study.folder / "study.json")["remarks"][1:] == [
        "1 trial(s) stay paused at their rungs: a larger n_trials continues those that then belong to the "
        "better part."
    ]
    assert not racing.study.is_complete(3)
    third = racing.begin(racing.study.next(3))
    assert racing.report(third, 0.25, 3.0) == "pause"
    fourth = racing.begin(racing.study.next(4))
    assert racing.report(fourth, 0.25, 4.0) == "pause"
    racing = track()  # killed
    assert not racing.study.is_complete(4)
    assert racing.continue_next(4) == first
    racing.end(first, 0.5)
    assert racing.row(first)["reason"] == "continued from 25 %"
    assert racing.study.next(4) is None
    assert track().study.is_complete(4)
    assert [row["number"] for row in racing.study.rows()] == [first, second, third, fourth]


def test_a_study_whose_best_trials_failed_has_a_winner_all_the_same(track: Any) -> None:
    racing = track()
    numbers = [racing.begin() for _ in range(3)]
    answers = [racing.report(n, 0.25, loss) for n, loss in zip(numbers, (2.0, 4.0, 3.0), strict=True)]
    assert answers == ["go on", "pause", "pause"]
    assert racing.study.next(3) is None  # the best of three trains
    racing.end(0, float("nan"))
    assert racing.continue_next(3) == 2  # not among the best, but nothing else is left to do
    racing.end(2, 1.8)
    assert racing.study.next(3) is None
    assert racing.study.is_complete(3)
    assert [racing.row(n)["state"] for n in numbers] == ["FAIL", "PAUSED", "COMPLETE"]


def test_what_is_paused_goes_on_before_anything_is_asked_for_twice(track: Any) -> None:
    racing = track(space={"optimizer.lr": [1, 2, 3, 4]}, hopeless=None)
    for number in [racing.begin() for _ in range(4)]:
        racing.report(number, 0.25, number + 1.0)
    racing.end(0, 0.9)
    assert racing.continue_next(4) == 1
    racing.end(1, 1.9)
    assert racing.study.next(4) is None  # as many as there are, and a half of them stays paused
    assert racing.study.is_complete(4)
    racing = track(space={"optimizer.lr": [1, 2, 3, 4]}, hopeless=None)
    assert not racing.study.is_complete(6)
    assert racing.continue_next(6) == 2  # the better one of them
    assert racing.report(2, 0.5, 2.9) == "go on"
    racing.end(2, 4.0)
    assert racing.continue_next(6) == 3
    assert racing.report(3, 0.5, 3.9) == "pause"
    assert racing.continue_next(6) == 3
    racing.end(3, 5.0)
    assert racing.study.asked() == 4
    assert racing.study.next(6).number == 4  # now one comes again


def test_in_a_large_space_what_is_paused_stays_so(track: Any) -> None:
    racing = track(space={"optimizer.lr": [1, 2, 3, 4, 5]}, hopeless=None)
    for number in [racing.begin() for _ in range(4)]:
        racing.report(number, 0.25, number + 1.0)
    racing.end(0, 0.5)
    assert racing.continue_next(6) == 1
    racing.end(1, 1.5)
    assert racing.study.next(6).number == 4


def test_without_pauses_the_worse_end_at_the_rung(track: Any) -> None:
    racing = track(pause=False)
    first, second = racing.begin(), racing.begin()
    assert racing.report(first, 0.25, 2.0) == "go on"  # nobody to be compared with
    assert racing.report(second, 0.25, 3.0) == "stop"
    racing.end(second, 3.0, status="pruned")
    assert racing.row(second)["reason"] == "not among the best 1 of 2 at 25 %"


def test_a_kill_leaves_paused_trials_paused_and_others_to_be_continued(track: Any) -> None:
    racing = track()
    third, first, second = (racing.begin() for _ in range(3))
    assert racing.report(third, 0.25, 1.0) == "go on"
    racing.report(first, 0.25, 2.0)
    assert racing.study.report(second, 0.25, {"val/loss": 3.0}) == "pause"  # killed before it is let go
    racing = track()
    assert [order.number for order in racing.study.abandoned()] == [third]
    assert [racing.row(n)["state"] for n in (first, second, third)] == ["PAUSED", "PAUSED", "RUNNING"]
    assert racing.row(second)["architecture"] == "a"
    assert racing.report(third, 0.25, 1.0) == "go on"  # no checkpoint: it comes by here again
    racing.end(third, 0.5)
    racing.run((4.0,))
    assert racing.study.next(4).number == first


def test_a_trial_whose_worker_still_saves_is_not_given_to_another(track: Any) -> None:
    racing = track()
    racing.run((0.5, 0.5, 0.5))
    saving = racing.begin()
    assert racing.study.report(saving, 0.25, {"val/loss": 1.0}) == "pause"
    racing.run((2.0,))
    racing.run((3.0,))
    assert racing.study.next(4) is None
    racing.study.let_go(saving, 1.0)
    assert racing.study.next(4).number == saving


def test_an_equal_trial_of_a_paused_one_is_not_trained(track: Any) -> None:
    racing = track()
    racing.run((0.5, 0.5, 0.5))
    racing.report(racing.begin(key="k"), 0.25, 2.0)
    for again in (racing, track()):
        twin = again.study.ask()
        assert not again.study.identify(twin.number, "k", {"string": "a", "hash": "k", "parameters": 7,
                                                           "flops_per_token": 9.0})  # fmt: skip
        row = again.row(twin.number)
        assert (row["state"], row["value"], row["reason"]) == ("PRUNED", 2.0, "same as trial 1")
    assert racing.report(racing.begin(), 0.25, 3.0) == "pause"  # twins do not race


def test_bold_trials_go_on_all_the_same(track: Any) -> None:
    racing = track(bold=1.0)
    numbers = [racing.run((float(n), float(n))) for n in range(4)]
    assert {racing.row(n)["state"] for n in numbers} == {"COMPLETE"}
    assert racing.row(numbers[3])["reason"] == "bold at 25 %; bold at 50 %"
    some = track(bold=0.3)
    share = sum(some.study.race._is_bold(n) for n in range(1000)) / 1000
    assert 0.25 < share < 0.35


def law(start: float) -> tuple[float, float, float]:
    return start, start - 0.5, start - 1.0


def test_a_trial_whose_forecast_is_worse_than_the_best_ends(track: Any) -> None:
    racing = track(bold=1.0)
    for start in (3.0, 4.0, 3.5, 3.2, 3.7, 3.4, 3.9, 3.3, 3.6):
        racing.run((*law(start)[:2], law(start)[2] + 0.02 * (start == 3.5)))
    racing = track(bold=0.0)
    for _ in range(6):
        racing.report(racing.begin(), 0.25, 9.0)
    number = racing.begin()
    assert racing.report(number, 0.25, 3.45) == "stop"
    racing.end(number, 3.45, status="pruned")
    row = racing.row(number)
    assert row["state"] == "PRUNED"
    assert row["reason"].startswith("hopeless: predicted 2.4")
    assert row["reason"].endswith(", best 2")
    assert "±" in row["reason"]
    assert racing.report(racing.begin(), 0.25, 2.9) == "go on"


def test_a_paused_trial_without_hope_is_not_continued(track: Any) -> None:
    racing = track()
    racing.run(law(3.1))
    paused = racing.begin()
    racing.report(paused, 0.25, 3.45)
    racing = track(bold=1.0)
    for start in (3.0, 4.0, 3.5, 3.2, 3.7, 3.4, 3.9, 3.3, 3.6, 3.8):
        racing.run((*law(start)[:2], law(start)[2] + 0.02 * (start == 3.5)))
    racing = track()
    assert racing.study.next(12) is None
    assert racing.study.take_ended() == [paused]
    assert racing.row(paused)["reason"].startswith("paused at 25 %; hopeless: predicted 2.4")


def test_never_stops_a_trial_by_forecast_where_it_is_off(track: Any) -> None:
    racing = track(bold=1.0)
    for start in (3.0, 4.0, 3.5, 3.2, 3.7, 3.4, 3.9, 3.3, 3.6):
        racing.run(law(start))
    racing = track(hopeless=None)
    for _ in range(6):
        racing.report(racing.begin(), 0.25, 9.0)
    assert racing.report(racing.begin(), 0.25, 3.45) == "go on"


def test_of_several_objectives_the_front_goes_on(track: Any) -> None:
    racing = track((LOSS, SIZE))
    numbers = [racing.begin() for _ in range(6)]
    sizes = {n: racing.study.optuna.trials[n].user_attrs["costs"][SIZE.name] for n in numbers}
    smallest, largest = min(numbers, key=lambda n: sizes[n]), max(numbers, key=lambda n: sizes[n])
    # the smallest is the worst, and goes on because it is the smallest; the largest is dominated
    losses = {n: 1.0 + 0.01 * n for n in numbers} | {smallest: 5.0, largest: 4.0}
    for n in (*(n for n in numbers if n not in (smallest, largest)), largest):
        racing.report(n, 0.25, losses[n])
    assert racing.report(smallest, 0.25, losses[smallest]) == "go on"
    assert racing.row(largest)["state"] == "PAUSED"
    assert racing.row(largest)["values"] == {"val/loss": 4.0, SIZE.name: sizes[largest]}
    assert racing.study.optuna.trials[largest].intermediate_values == {}


def test_of_several_objectives_only_what_is_dominated_in_all_is_hopeless(track: Any) -> None:
    racing = track((LOSS, ACCURACY), bold=1.0)
    for start in (3.0, 4.0, 3.5, 3.2, 3.7, 3.4, 3.9, 3.3, 3.6):
        number, noise = racing.begin(), 0.001 * (start == 3.5)
        racing.report(number, 0.25, start, 5 - start)
        racing.report(number, 0.5, start, 5 - start)
        racing.end(number, start - 1 + noise, 6 - start - noise)
    racing = track((LOSS, ACCURACY))
    assert racing.study.next(9) is None  # it has read them
    hopeless = racing.study.race.hopeless
    trial = racing.study.optuna.trials[0]
    assert hopeless(trial, {25: (3.5, 1.5)}) == (
        "hopeless: predicted 2.5 ± 0.00044, 2.5 ± 0.00044, dominated by a finished trial"
    )
    assert hopeless(trial, {25: (3.5, 2.1)}) is None  # more accurate than all
    assert hopeless(trial, {25: (2.9, 1.5)}) is None  # less loss than all


def test_baselines_and_replicates_are_measured_to_the_end_and_race_with_nobody(track: Any) -> None:
    racing = track()
    order = racing.study._enqueued({"optimizer.lr": 0.5}, {"baseline": "random"})
    assert racing.report(racing.begin(order), 0.25, 7.0) == "go on"
    assert racing.report(racing.begin(), 0.25, 8.0) == "go on"  # alone
    assert racing.report(racing.begin(), 0.25, 9.0) == "pause"


def test_samplers_learn_from_a_paused_trial_what_it_has_reached(track: Any) -> None:
    racing = track()
    leading = racing.begin()
    racing.report(leading, 0.25, 3.0)
    for loss in (3.5, 9.0, 9.5):
        racing.run((loss,))
    reader = Reader()
    _, history = reader.read(racing.study.optuna, without=-1)
    assert history.values[:, 0].tolist() == [3.5, 9.0, 9.5]
    assert len(history.pending) == 1
    racing.report(leading, 0.5, 2.0)
    racing.end(leading, 1.5)
    _, history = reader.read(racing.study.optuna, without=-1)
    assert history.values[:, 0].tolist() == [1.5, 2.0, 7.5, 8.0]  # as if all went on, and gained 1.5
    second = racing.continue_next(4)
    racing.report(second, 0.5, 1.75)
    racing.end(second, 1.0)
    _, history = reader.read(racing.study.optuna, without=-1)
    assert history.values[:, 0].tolist() == [1.5, 1.0, 7.0, 7.5]  # in the middle, 1.375 and 0.625
    assert len(history.rows) == len(history.values) == 4


def test_values_that_are_no_numbers_are_not_compared(track: Any) -> None:
    racing = track()
    number = racing.begin()
    assert racing.report(number, 0.25, float("nan")) == "go on"
    racing.end(number, float("nan"))
    assert racing.row(number)["reason"] == "val/loss is nan"
    assert racing.row(number)["state"] == "FAIL"
    assert reports.reported(racing.study.optuna.trials[number]) == {}


@pytest.mark.parametrize("progress", [0.1, 0.31])
def test_an_evaluation_counts_for_the_rung_it_has_reached(track: Any, progress: float) -> None:
    racing = track()
    racing.run((0.5, 0.5, 0.5))
    number = racing.begin()
    assert racing.report(number, progress, 1.0) == ("go on" if progress < 0.25 else "pause")
    steps = racing.study.optuna.trials[number].intermediate_values
    assert list(steps) == [10 if progress < 0.25 else 25]
