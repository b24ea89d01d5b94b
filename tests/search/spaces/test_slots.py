"""Lists of blocks: lengths, patterns, spans, shared weights, and settings that depend on them."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from nas.config.overrides import parse
from nas.errors import InputError
from nas.search.spaces.literals import Scalar
from nas.search.spaces.space import Space

KEY = "encoder.hidden_cls"


def read(lines: list[str]) -> dict[str, Any]:
    """Return key to value as Hydra reads them."""
    return {str(p.key_or_group): p.value() for p in map(parse, lines)}


def rendered(form: dict[str, Any], values: dict[str, Scalar], **more: Any) -> dict[str, Any]:
    space = Space({KEY: form, **more})
    return read(space.render(lambda p: values[p.name.removeprefix(f"{KEY}.")]))


def every(space: Space) -> list[dict[str, Scalar]]:
    """Return all configurations, by walking through every answer to every question."""
    found, waiting = [], [dict[str, Scalar]()]
    while waiting:
        known = waiting.pop()
        try:
            found.append(space.walk(lambda p, known=known: known[p.name]))  # type: ignore[misc]
        except KeyError as missing:
            parameter = next(p for p in space.parameters() if p.name == missing.args[0])
            values = getattr(parameter, "choices", None) or range(int(parameter.low), int(parameter.high) + 1)  # type: ignore[union-attr]
            waiting += [{**known, parameter.name: value} for value in values]
    return found


def test_a_list_of_variable_length_asks_for_the_slots_in_use() -> None:
    form = {"slots": {"low": 1, "high": 3}, "choices": ["a", "b"]}
    space = Space({KEY: form})
    assert [p.name for p in space.parameters()] == [f"{KEY}.{n}" for n in ("length", "0", "1", "2")]
    assert rendered(form, {"length": 2, "0": "b", "1": "a"}) == {KEY: ["b", "a"]}
    assert len(every(space)) == space.size() == 2 + 4 + 8
    assert space.describe()[KEY] == "1 to 3 slots, each one of ['a', 'b']"


def test_a_pattern_is_repeated_or_tiled() -> None:
    repeated = {"pattern": 2, "repeat": [1, 3], "choices": ["a", "b"]}
    assert rendered(repeated, {"0": "a", "1": "b", "repeat": 3}) == {KEY: ["a", "b"] * 3}
    tiled = {"pattern": {"low": 1, "high": 2}, "slots": 5, "choices": ["a", "b"]}
    assert rendered(tiled, {"length": 2, "0": "a", "1": "b"}) == {KEY: ["a", "b", "a", "b", "a"]}
    assert Space({KEY: repeated}).size() == 4 * 2
    assert Space({KEY: tiled}).size() == 2 + 4


def test_a_list_among_the_choices_is_laid_out() -> None:
    form = {"slots": 2, "choices": ["a", ["b", "c"]]}
    assert rendered(form, {"0": '["b", "c"]', "1": "a"}) == {KEY: ["b", "c", "a"]}


def test_a_span_is_one_item_that_links_to_its_blocks() -> None:
    form = {"slots": 1, "choices": [{"span": ["a", "b", "a"], "repeat": 3}]}
    [item] = rendered(form, {"0": Space({KEY: form}).parameters()[0].choices[0]})[KEY]  # type: ignore[union-attr]
    assert item["n"] == 3
    assert item["_partial_"] is True
    assert item["span"] == {
        "a": "${encoder.blocks.a}", "b": "${encoder.blocks.b}", "a_2": "${encoder.blocks.a}",
    }  # fmt: skip


def test_tied_items_share_weights_by_name() -> None:
    form = {"slots": 3, "choices": ["a", "b"], "tie": [False, True]}
    slots = {"0": "a", "1": "b", "2": "a"}
    assert rendered(form, {**slots, "tie": True}) == {
        KEY: ["a", "b", "a"],
        "encoder.blocks.a._partial_": False,
    }
    assert rendered(form, {**slots, "tie": False}) == {
        KEY: ["a", "b", "a"],
        "encoder.blocks.a._partial_": True,
    }


def test_a_tie_is_asked_for_where_a_name_repeats() -> None:
    space = Space({KEY: {"slots": {"low": 1, "high": 2}, "choices": ["a", "b"], "tie": [False, True]}})
    asked = [{**v} for v in every(space) if f"{KEY}.tie" in v]
    assert {tuple(v[f"{KEY}.{i}"] for i in range(2)) for v in asked} == {("a", "a"), ("b", "b")}
    assert len(asked) == 4
    assert space.is_restricted()


def test_a_blocks_settings_are_asked_for_with_the_block_alone() -> None:
    space = Space(
        {
            "encoder.blocks.a.num_heads": [1, 2, 4],
            KEY: {"slots": {"low": 1, "high": 2}, "choices": ["a", "b", {"span": ["a", "b"]}]},
            "encoder.blocks.b": {"ratio": [1, 2]},
        }
    )
    found = every(space)
    for values in found:
        lists = [v for name, v in values.items() if name.startswith(KEY)]
        for block in "ab":
            held = any(f'"{block}"' in str(v) or v == block for v in lists)
            assert held == any(name.startswith(f"encoder.blocks.{block}.") for name in values)
    assert len(found) == space.size() == space.discrete_size()
    assert "when 'a' in encoder.hidden_cls" in space.describe()["encoder.blocks.a.num_heads"]


def test_a_condition_of_the_users_own() -> None:
    space = Space(
        {"x": [1, 2], "y": {"low": 1, "high": 3, "when": "x == 2"}, "z": {"choices": [5], "when": "y > 2"}}
    )
    with pytest.raises(InputError, match="y is not a key of the space"):
        every(space)  # without a base, what is not asked for has no value
    space = Space({"y": {"low": 1, "high": 3, "when": "x == 2"}, "x": [1, 2]})
    assert sorted(str(v) for v in every(space)) == sorted(
        str(v) for v in ({"x": 1}, {"x": 2, "y": 1}, {"x": 2, "y": 2}, {"x": 2, "y": 3})
    )
    assert space.is_restricted()


def test_conditions_that_wait_for_each_other() -> None:
    with pytest.raises(InputError, match="wait for each other"):
        Space({"x": {"choices": [1], "when": "y == 1"}, "y": {"choices": [1], "when": "x == 1"}})


def test_what_is_forbidden() -> None:
    space = Space({KEY: {"slots": 3, "choices": ["a", "b"]}}, forbid=["count(encoder.hidden_cls, 'a') > 1"])
    forbidden = [v for v in every(space) if space.forbidden(v)]
    assert len(forbidden) == sum(c.count("a") > 1 for c in itertools.product("ab", repeat=3))


def test_weights_lean_the_draw() -> None:
    space = Space({KEY: {"slots": 4, "choices": ["a", "b"], "weights": [9, 1]}, "x": [1, 2]})
    stream = random.Random(0)
    drawn = [v for _ in range(200) for name, v in space.draw(stream).items() if name.startswith(KEY)]
    assert 0.85 < drawn.count("a") / len(drawn) < 0.95
    assert "weights [0.9, 0.1]" in space.describe()[KEY]


RANGES: list[dict[str, Any]] = [
    {"low": 1, "high": 9, "log": True},
    {"low": 0.5, "high": 2.0},
    {"low": 1, "high": 9, "step": 4},
    {"low": 0.1, "high": 0.9, "log": True},
    {"low": 0.0, "high": 1.0, "step": 0.25},
]


@pytest.mark.parametrize("form", RANGES)
def test_draws_stay_within_a_range(form: dict[str, Any]) -> None:
    [parameter] = Space({"x": form}).parameters()
    stream = random.Random(0)
    drawn = {parameter.draw(stream) for _ in range(300)}
    assert all(parameter.distribution()._contains(value) for value in drawn)  # type: ignore[arg-type]
    assert len(drawn) > 2


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a repeat without a pattern": ({"slots": 2, "repeat": 2, "choices": ["a"]}, "needs pattern"),
    "a pattern alone": ({"pattern": 2, "choices": ["a"]}, "needs repeat"),
    "a pattern with both": ({"pattern": 2, "repeat": 2, "slots": 4, "choices": ["a"]}, "one of them"),
    "no repetition": ({"pattern": 2, "repeat": 0, "choices": ["a"]}, "repeat=0 must be a whole number"),
    "half a slot": ({"slots": {"low": 1.5, "high": 3}, "choices": ["a"]}, "must be a whole number"),
    "no slot": ({"slots": {"low": 0, "high": 3}, "choices": ["a"]}, "must be a whole number"),
    "upside down": ({"slots": {"low": 4, "high": 3}, "choices": ["a"]}, "low=4 must be less than high=3"),
    "a tie": ({"slots": 2, "tie": "yes", "choices": ["a"]}, "tie='yes' must be true, false or"),
    "weights": ({"slots": 2, "choices": ["a", "b"], "weights": [1]}, "must be 2 positive numbers"),
    "a weight of 0": ({"slots": 2, "choices": ["a", "b"], "weights": [1, 0]}, "must be 2 positive numbers"),
    "no span": ({"slots": 2, "choices": ["a", {"span": []}]}, "{span: [blocks], repeat: n}"),
    "a typo in a span": ({"slots": 2, "choices": [{"spam": ["a"]}]}, "{span: [blocks], repeat: n}"),
    "an empty list": ({"slots": 2, "choices": [[]]}, "cannot be a choice"),
    "a condition": ({"slots": 2, "choices": ["a"], "when": "a b"}, "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_form_names_key_and_rule(name: str) -> None:
    form, rule = WRONG[name]
    with pytest.raises(InputError) as caught:
        Space({KEY: form})
    [mistake] = caught.value.mistakes
    assert mistake.startswith(f"space.{KEY}")
    assert rule in mistake
