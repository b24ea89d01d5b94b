"""What may be trained: limits, matched costs and forbidden combinations, judged without training."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.config.build import build
from nas.config.compose import Composed, compose
from nas.errors import InputError
from nas.search.constraints import Limit, read_limits
from nas.search.gate import Gate
from nas.search.latency import Latency
from nas.search.match import Match, read_match
from nas.search.pricing import Pricing
from nas.search.spaces.base import Base
from nas.search.spaces.space import Space

SHARED = ("task=mqar", "task.seq_length=16", "encoder.hidden_size=16", "encoder.num_heads=2", "tracker=none")
LISTS: dict[str, Any] = {
    "encoder.hidden_cls": {
        "slots": {"low": 1, "high": 3},
        "choices": ["attn", "ffn", "conv", {"span": ["attn", "mlp"], "repeat": 2}],
        "tie": [False, True],
    },
    "encoder.blocks.ffn.ratio": [1.0, 4.0],
}


@pytest.fixture(scope="module")
def shared() -> Composed:
    return compose("train", SHARED)


def gate(
    shared: Composed, space: dict[str, Any] | None = None, forbid: tuple[str, ...] = (), **rules: Any
) -> Gate:
    base = Base(shared)
    return Gate(Space(space or LISTS, forbid, base), Pricing(base), **rules)


def test_prices_are_those_of_what_is_built(shared: Composed) -> None:
    made, stream = gate(shared), random.Random(0)
    for _ in range(3):
        verdict = made.judge(made.space.draw(stream))
        costs = Pricing(Base(shared)).costs(verdict.changes)
        told = build([*SHARED, *verdict.overrides]).description
        assert costs["cost/parameters"] == told["parameters"]
        assert costs["cost/flops_per_token"] == told["flops_per_token"]


def test_a_task_that_varies_changes_the_price(shared: Composed) -> None:
    pricing = Pricing(Base(shared))
    vocabularies = [pricing.costs({"task.vocab_size": size})["cost/parameters"] for size in (32, 64)]
    assert vocabularies[1] - vocabularies[0] == 32 * 16


def test_limits_refuse_and_say_why(shared: Composed) -> None:
    made, stream = (
        gate(shared, limits=read_limits({"cost/parameters": {"max": 4500, "min": 1000}})),
        random.Random(0),
    )
    seen = [made.judge(made.space.draw(stream)) for _ in range(40)]
    assert {verdict.fits for verdict in seen} == {True, False}
    for verdict in seen:
        size = verdict.measures["cost/parameters"]
        assert verdict.fits == (1000 <= size <= 4500)
        if not verdict.fits:
            assert verdict.reason == f"cost/parameters={size:.4g} is above max=4500"
            assert verdict.broken == {"constraints.cost/parameters": size / 4500 - 1}


def test_a_match_is_solved_for_a_width(shared: Composed) -> None:
    match = Match("cost/parameters", 50_000, 0.05, "encoder.hidden_size", None)
    made, stream = gate(shared, match=match), random.Random(1)
    fitting = [v for v in (made.judge(made.space.draw(stream)) for _ in range(8)) if v.fits]
    assert len({v.changes["encoder.hidden_size"] for v in fitting}) > 2
    assert all(v.changes["encoder.hidden_size"] % 2 == 0 for v in fitting)
    for verdict in fitting[:1]:
        assert abs(build([*SHARED, *verdict.overrides]).description["parameters"] / 50_000 - 1) <= 0.05


def test_a_match_that_no_width_meets_says_how_near_it_comes(shared: Composed) -> None:
    made = gate(shared, match=Match("cost/parameters", 50_000, 1e-6, "encoder.hidden_size", None))
    verdict = made.judge(made.space.draw(random.Random(0)))
    assert not verdict.fits
    assert "comes nearest, with" in verdict.reason


def test_what_is_forbidden_sees_links_and_choices(shared: Composed) -> None:
    space = {"encoder.num_heads": [1, 2, 4], "schedule": ["cosine", "wsd"]}
    forbid = ("encoder.blocks.attn.num_heads > 2", "schedule == 'wsd' and encoder.num_heads == 1")
    made = gate(shared, space, forbid)
    allowed = {
        (heads, schedule)
        for heads in (1, 2, 4)
        for schedule in ("cosine", "wsd")
        if made.allows({"encoder.num_heads": heads, "schedule": schedule})
    }
    assert allowed == {(1, "cosine"), (2, "cosine"), (2, "wsd")}


def test_nothing_feasible_names_the_tightest_rule(shared: Composed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.search.gate._SOON", 20)
    monkeypatch.setattr("nas.search.gate._PRICED", 20)
    made = gate(shared, limits=(Limit("cost/parameters", high=500), Limit("cost/flops_per_token", high=1e12)))
    [mistake] = made.mistakes()
    told = r"no configuration may be trained: of (\d+) looked at none meets constraints.cost/parameters; .*"
    found = re.fullmatch(told, mistake)
    assert found is not None
    assert 20 < int(found[1]) <= 60
    assert "is above max=500" in mistake


def test_a_few_among_many_are_found(shared: Composed) -> None:
    space = {"encoder.hidden_cls": {"slots": 8, "choices": ["attn", "ffn", "conv", "mlp"]}}
    prices = gate(shared, space, wanted=("cost/parameters",))
    smallest = prices.judge({f"encoder.hidden_cls.{i}": "conv" for i in range(8)}).measures["cost/parameters"]
    made = gate(shared, space, limits=(Limit("cost/parameters", high=smallest),))  # one of 65,536
    found = made.sample(random.Random(0))
    assert found is not None
    assert made.allows(found)
    assert made.mistakes() == []


def test_what_is_forbidden_and_costs_nothing_to_judge_is_drawn_more_often(shared: Composed) -> None:
    space = {"encoder.hidden_cls": {"slots": 6, "choices": ["attn", "ffn", "conv", "mlp"]}}
    made = gate(shared, space, ("not count(encoder.hidden_cls, 'attn') == 6",))  # one of 4,096 is left
    assert made.mistakes() == []


def test_an_open_gate_lets_everything_through(shared: Composed) -> None:
    made = gate(shared)
    assert made.open
    assert made.mistakes() == []
    assert made.judge({"encoder.blocks.ffn.ratio": 1.0}).overrides == ["encoder.blocks.ffn.ratio=1.0"]


def test_what_cannot_be_built_is_refused_where_costs_are_asked_for(shared: Composed) -> None:
    made = gate(shared, {"encoder.num_heads": [2, 3]}, limits=(Limit("cost/parameters", high=1e9),))
    verdict = made.judge({"encoder.num_heads": 3})
    assert verdict.broken == {"encoder": 1.0}
    assert verdict.reason.startswith("cannot be built: ")


def test_latency_is_measured_once_for_each_layer(shared: Composed, tmp_path: Path) -> None:
    pricing, path = Pricing(Base(shared)), tmp_path / "cache" / "latency_ms.json"
    lists = [["attn", "ffn"], ["ffn", "attn", "ffn"], ["conv"]]
    found = [pricing.candidate({"encoder.hidden_cls": names}) for names in lists]
    timer = Latency(path, torch.device("cpu"), 1)
    pair = timer.milliseconds(found[0])
    assert pair > 0
    known = path.read_text()
    assert timer.milliseconds(found[1]) > pair
    assert path.read_text() == known  # made of layers that were timed before
    timer.milliseconds(found[2])
    assert path.read_text() != known
    assert Latency(path, torch.device("cpu"), 1).milliseconds(found[0]) == pair


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ({"cost/parms": {"max": 3}}, "constraints.cost/parms is not one of"),
        ({"latency_ms": {"max": -1}}, "must be {max: number, min: number}"),
        ({"latency_ms": {}}, "must be {max: number, min: number}"),
        ({"latency_ms": 3}, "must be {max: number, min: number}"),
        ({"cost/parameters": {"max": 3, "min": 4}}, "min=4 is above max=3"),
        ({"cost/parameters": {"maks": 3}}, "must be {max: number, min: number}"),
        ([], "must hold measures"),
    ],
)
def test_wrong_limits(described: Any, told: str) -> None:
    with pytest.raises(InputError) as caught:
        read_limits(described)
    [mistake] = caught.value.mistakes
    assert told in mistake


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ({"tolerance": 0.1}, "must hold one of"),
        ({"cost/parameters": 1e6, "cost/flops_per_token": 1e6}, "must hold one of"),
        ({"cost/parameters": 0}, "must be a number above 0"),
        ({"cost/parms": 5}, "did you mean 'cost/parameters'?"),
        ({"cost/parameters": 5, "tolerance": "x%"}, "tolerance='x%' must be a share"),
        ({"cost/parameters": 5, "tolerance": 2}, "tolerance=2 must be a share"),
        ({"cost/parameters": 5, "by": 3}, "must be a key"),
        ({"cost/parameters": 5, "step": 0}, "step=0 must be a whole number"),
        ("x", "must be such as"),
    ],
)
def test_a_wrong_match(described: Any, told: str) -> None:
    with pytest.raises(InputError) as caught:
        read_match(described)
    [mistake] = caught.value.mistakes
    assert told in mistake


def test_a_tolerance_may_be_a_percentage() -> None:
    match = read_match({"cost/parameters": 1e6, "tolerance": "5%"})
    assert match == Match("cost/parameters", 1e6, 0.05, "encoder.hidden_size", None)
    assert read_match(None) is None
