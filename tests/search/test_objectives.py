"""What a search is judged by, as configured: names, directions, and all mistakes together."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nas.errors import InputError
from nas.search.match import Match
from nas.search.objectives import Objective, read_objectives, unmeasured, values_of
from nas.tasks.scoring import direction_of

METRICS = ("val/loss", "val/accuracy", "longer/accuracy", "val/bits_per_byte")


def read(named: Any = None, directions: Any = None, own: Any = ("val/loss", "minimize"), **more: Any) -> Any:
    return read_objectives(named, directions, own, METRICS, **more)


def test_nothing_said_is_the_tasks_own() -> None:
    assert read() == (Objective("val/loss", "minimize"),)
    assert read(own=("longer/accuracy", "maximize")) == (Objective("longer/accuracy", "maximize"),)


def test_each_gets_better_its_own_way_unless_told() -> None:
    named = ["val/loss", "val/accuracy", "cost/parameters", "latency_ms", "val/bits_per_byte"]
    found = [objective.direction for objective in read(named)]
    assert found == ["minimize", "maximize", "minimize", "minimize", "minimize"]
    told = read(["val/loss", "cost/parameters"], ["minimize", "maximize"])
    assert [objective.sign for objective in told] == [1, -1]
    assert [objective.is_cost for objective in told] == [False, True]
    assert read("val/accuracy", "minimize")[0].direction == "minimize"


@pytest.mark.parametrize(
    ("named", "directions", "told"),
    [
        ("val/los", None, ["objective='val/los' is not one of"]),
        (["val/loss", "cost/parameter"], None, ["did you mean 'cost/parameters'?"]),
        (["val/loss", "val/loss"], None, ["objective='val/loss' is named more than once"]),
        ([], None, ["objective=[] must name at least one metric"]),
        (["cost/parameters", "latency_ms"], None, ["names costs alone: name a metric too"]),
        (["val/loss", "latency_ms"], ["minimize"], ["direction=['minimize'] must hold 2, one for each"]),
        (["val/loss", "latency_ms"], "minimize", ["direction='minimize' must hold 2"]),
        (None, ["minimize", "maximize"], ["must hold 1, one for each objective: ['val/loss']"]),
        (["val/los", "latency_ms", "latency_ms"], ["minimize"], ["did you mean", "more than once", "hold 3"]),
    ],
)
def test_mistakes_are_told_together(named: Any, directions: Any, told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read(named, directions)
    assert len(caught.value.mistakes) == len(told)
    assert all(part in line for part, line in zip(told, caught.value.mistakes, strict=True))


def test_a_cost_is_not_held_and_searched_at_once() -> None:
    match = Match("cost/parameters", 1e6, 0.05, "encoder.hidden_size", None)
    with pytest.raises(InputError, match="objective='cost/parameters' is held by match"):
        read(["val/loss", "cost/parameters"], match=match)
    assert len(read(["val/loss", "latency_ms"], match=match)) == 2


def test_values_come_from_the_evaluation_and_from_what_was_known_before() -> None:
    asked = read(["val/loss", "cost/parameters"])
    metrics, costs = {"val/loss": 2.0, "cost/parameters": 9.0}, {"cost/parameters": 7.0}
    assert values_of(asked, metrics, costs) == (2.0, 7.0)
    assert unmeasured(asked, metrics, costs) is None
    assert values_of(asked, {}, costs) is None
    assert unmeasured(asked, {}, costs) == "val/loss was not measured"
    assert unmeasured(asked, {"val/loss": math.nan}, costs) == "val/loss is nan"


def test_every_measure_has_a_direction() -> None:
    assert [direction_of(m) for m in ("val/loss", "deeper/accuracy", "val/mcc", "sst2/score")] == [
        "minimize", "maximize", "maximize", "maximize",
    ]  # fmt: skip
