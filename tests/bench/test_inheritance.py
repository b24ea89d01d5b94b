"""The bench of inherited weights: steps seen, ranks beside those from scratch, and what it tells."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from nas.bench.heirs import Lineage, agreement, from_scratch, partial
from nas.bench.inheritance import InheritanceBench, affordable
from nas.errors import InputError
from nas.search.inheritance import Inherit

WAYS = {"plain": ["sampler=random"], "heirs": ["sampler=random", "evaluator=inherit", "evaluator.final=1"]}


def quiet(line: str) -> None:
    """Ignore progress."""


def row(number: int, value: float, parent: int | None = None) -> dict[str, Any]:
    told = {} if parent is None else {"inherited": {"from": parent, "slots": 1, "of": 2}}
    return {"number": number, "value": value, **told}


def chain(values: list[float]) -> Lineage:
    """Return a lineage in which each trial has the weights of the one before it."""
    rows = [row(number, value, number - 1 if number else None) for number, value in enumerate(values)]
    return Lineage(rows, {number: 50 if number else 100 for number in range(len(values))})


def test_steps_are_counted_through_all_parents() -> None:
    lineage = chain([3.0, 2.9, 2.8, 2.7])
    assert [lineage.seen(number) for number in range(4)] == [100, 150, 200, 250]
    assert [row["number"] for row in lineage.spread(2)] == [1, 3]
    assert [row["number"] for row in lineage.spread(9)] == [1, 2, 3]


def test_values_that_only_tell_the_steps_say_nothing_at_equal_steps() -> None:
    lineage = chain([3.0, 2.9, 2.8, 2.7, 2.6])
    told = agreement(lineage, {1: 2.0, 2: 1.9, 3: 1.8, 4: 1.7})
    assert told["inherited"] == pytest.approx(1.0)
    assert told["equal steps"] == 0.0
    assert all(math.isnan(value) for value in agreement(lineage, {1: 2.0, 2: 1.9}).values())


def test_a_partial_correlation_finds_what_the_third_hides() -> None:
    by = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
    left = [5.0, 6.0, 3.0, 4.0, 1.0, 2.0]
    right = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert partial(left, right, by) == pytest.approx(1.0)  # against each other only through the third
    assert partial(left, right, [1.0] * 6) == pytest.approx(-0.8286, abs=1e-3)


def test_what_lets_a_trial_inherit_is_left_out() -> None:
    overrides = [
        "a.hidden_cls=[x]",
        "optimizer.lr=1",
        "checkpoint='f'",
        "transfer=inherit",
        "trainer.steps=5",
    ]
    assert from_scratch(overrides) == ["a.hidden_cls=[x]", "optimizer.lr=1"]


def test_trials_cost_as_much_as_the_trainings() -> None:
    assert affordable(24, Inherit(share=0.5, final=3)) == 41  # 1 + 40 / 2 + 3
    with pytest.raises(InputError, match="leaves none to heirs"):
        affordable(4, Inherit(final=3))


def test_ways_are_compared_with_the_first() -> None:
    side = {"value": 2.0, "mean": 2.1, "lists": 24, "steps": 2400}
    heir = {**side, "mean": 2.0, "agreement": {"inherited": 0.5, "equal steps": 0.25}}
    bench = InheritanceBench("out", "cache", WAYS)
    rows = [{"seed": seed, "plain": side, "heirs": heir} for seed in range(2)]
    table, line = bench.tables({"searches": [*WAYS], "rows": rows})
    assert not isinstance(table, str)
    assert table.row_count == 2
    assert "heirs beats plain on 2 of 2 seeds; its loss is lower by 0.1000" in str(line)


def test_wrong_settings_are_told() -> None:
    with pytest.raises(InputError, match="at least two"):
        InheritanceBench("out", "cache", {"plain": []})
    with pytest.raises(InputError, match="ranked"):
        InheritanceBench("out", "cache", WAYS, ranked=0)


@pytest.mark.slow  # whole searches
def test_searches_with_and_without_heirs_take_the_same_steps(tmp_path: Path) -> None:
    tiny = [
        "task=mqar", "objective=val/loss", "direction=minimize", "task.seq_length=16",
        "task.validation_examples=64", "encoder.hidden_size=16", "encoder.num_heads=2",
        "trainer.batch_size=8", "trainer.steps=4", "trainer.evaluate_at=[1.0]",
    ]  # fmt: skip
    bench = InheritanceBench(
        str(tmp_path), str(tmp_path / "cache"), WAYS, seeds=1, trainings=5, ranked=2, retrained=1,
        overrides=tiny,
    )  # fmt: skip
    results = bench.measure(0, quiet)
    [found] = results["rows"]
    assert found["plain"]["steps"] == 20
    assert 16 <= found["heirs"]["steps"] <= 24  # the first few may find nothing to inherit
    assert set(found["heirs"]["agreement"]) == {"inherited", "equal steps"}
    assert bench.measure(0, quiet) == results
