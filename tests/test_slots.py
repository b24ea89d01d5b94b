"""Lists of slots: tiled to a depth, checked against the pool."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import InputError
from nas.slots import expand, unknown_names


@pytest.mark.parametrize(
    ("pattern", "depth", "slots"),
    [
        (["a"], None, ["a"]),
        (["a"], 3, ["a", "a", "a"]),
        (["a", "b"], 2, ["a", "b"]),
        (["a", "b"], 5, ["a", "b", "a", "b", "a"]),
    ],
)
def test_expand(pattern: list[str], depth: int | None, slots: list[str]) -> None:
    assert expand(pattern, depth) == slots


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), st.integers(0, 20))
def test_expand_repeats_the_pattern(pattern: list[str], more: int) -> None:
    depth = len(pattern) + more
    slots = expand(pattern, depth)
    assert len(slots) == depth
    assert all(slot == pattern[i % len(pattern)] for i, slot in enumerate(slots))


def test_a_pattern_longer_than_the_depth_says_both_numbers() -> None:
    with pytest.raises(InputError, match=r"hidden_cls has 3 slots but encoder\.num_layers=2"):
        expand(["a", "b", "c"], 2)
    with pytest.raises(InputError, match=r"num_layers=0"):
        expand(["a"], 0)


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(InputError, match=r"hidden_cls=\[\] is empty"):
        expand([], 3)


def test_unknown_names_are_told_one_by_one() -> None:
    assert unknown_names(["attn", "ffn"], ["attn", "ffn"]) == []
    assert unknown_names(["attn", "fnn", None, 3], ["ffn", "attn"]) == [
        "encoder.hidden_cls.1='fnn' is not in encoder.blocks ['attn', 'ffn']; did you mean 'ffn'?",
        "encoder.hidden_cls.2=None is not in encoder.blocks ['attn', 'ffn']",
        "encoder.hidden_cls.3=3 is not in encoder.blocks ['attn', 'ffn']",
    ]


def test_blocks_themselves_may_stand_in_the_list() -> None:
    node = {"_target_": "nas.blocks.none.NoBlock"}
    assert unknown_names([node, dict], []) == []
    assert len(unknown_names([{"target": "x"}], [])) == 1
