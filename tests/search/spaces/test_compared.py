"""Misspelt texts in conditions are refused; whatever may be right is not."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from nas.config.compose import compose
from nas.errors import InputError
from nas.search.spaces.base import Base
from nas.search.spaces.space import Space

LIST = {"encoder.hidden_cls": {"slots": 3, "choices": ["attn", "wide", {"span": ["conv", "attn"]}]}}
VARIED: dict[str, Any] = {
    **LIST,
    "encoder.composition.norm": ["pre", "post"],
    "encoder.blocks.attn.position": ["rope", "alibi"],
    "encoder.hidden_size": [16, 32],
    "trainer.precision": {"choices": ["fp32", "bf16"], "when": "encoder.hidden_size == 32"},
}


@functools.cache
def base() -> Base:
    pool = "+block@encoder.blocks.wide=feedforward/mlp"
    return Base(compose("search", ["task=mqar", pool, "+space.seed=[1]", "schedule=cosine"]))


def mistakes(forbid: str, space: dict[str, Any] = VARIED, with_base: bool = True) -> list[str]:
    try:
        Space(space, [forbid], base() if with_base else None)
    except InputError as error:
        return list(error.mistakes)
    return []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("count(encoder.hidden_cls, 'wde') > 1", "encoder.hidden_cls='wde' is not one of "
         "['attn', 'wide', 'conv']; did you mean 'wide'?"),
        ("not ('wde' not in encoder.hidden_cls)", "did you mean 'wide'?"),
        ("encoder.hidden_cls[0] == 'atn' and true", "did you mean 'attn'?"),
        ("encoder.hidden_cls.0 == 'atn'", "encoder.hidden_cls='atn' is not one of"),
        ("encoder.hidden_cls[-1] in ['attn', 'cov']", "encoder.hidden_cls='cov'"),
        ("encoder.composition.norm != 'pst'", "did you mean 'post'?"),
        ("'pst' == encoder.composition.norm", "did you mean 'post'?"),
        ("encoder.composition.norm not in ('pst', 'pre')", "did you mean 'post'?"),
        ("encoder.blocks.attn.position == 'rop'", "did you mean 'rope'?"),
        ("trainer.precision == 'fp31'", "did you mean 'fp32'?"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("with_base", [True, False])
def test_a_misspelt_text_is_told_with_the_nearest(text: str, told: str, with_base: bool) -> None:
    [mistake] = mistakes(text, with_base=with_base)
    assert mistake.startswith(f"forbid.0={text!r}: encoder." if "trainer" not in text else "forbid.0=")
    assert told in mistake


@pytest.mark.parametrize(
    "text",
    [
        "'attn' in encoder.hidden_cls",
        "'conv' in encoder.hidden_cls",  # within a span
        "'local' in encoder.hidden_cls",  # of the pool, if not of this space
        "encoder.hidden_cls[2] == null",
        "encoder.hidden_cls.2 == null or encoder.hidden_cls.0 == 'attn'",
        "encoder.hidden_size == 64",
        "encoder.hidden_size == 'x'",
        "schedule == 'wsdd'",  # not varied
        "trainer.precision == 'auto'",  # of the shared configuration, where it is not varied
        "encoder.composition.norm > 'a'",
        "count([1], 'x') == 1",
    ],
)
def test_what_may_be_right_is_not_refused(text: str) -> None:
    assert mistakes(text) == []


def test_a_setting_may_have_what_another_key_gives_it() -> None:
    space = {**LIST, "encoder.composition.norm": ["sandwich"], "encoder.blocks.attn.norm": ["pre", "post"]}
    assert mistakes("encoder.blocks.attn.norm == 'sandwich'", space) == []
    assert mistakes("encoder.blocks.attn.norm == 'sandwch'", space) != []
    chosen = {**space, "schedule": ["wsd", "cosine"]}  # what is chosen may set any key
    assert mistakes("encoder.blocks.attn.norm == 'sandwch'", chosen) == []


@pytest.mark.parametrize("item", ["encoder.hidden_cls.0", "encoder.hidden_cls[0]"])
def test_an_item_of_a_list_may_be_a_key_of_its_own(item: str) -> None:
    space = {"encoder.hidden_cls.0": ["attn", "conv"]}
    [mistake] = mistakes(f"{item} == 'atn'", space)
    assert mistake.endswith("encoder.hidden_cls.0='atn' is not one of ['attn', 'conv']; did you mean 'attn'?")
    for right in (f"{item} == 'conv'", f"{item} == 'local'", "encoder.hidden_cls[1] == 'atn'"):
        assert mistakes(right, space) == []


def test_of_a_group_every_choice_is_right() -> None:
    space = {"schedule": ["wsd", "cosine"]}
    assert mistakes("schedule == 'constant'", space) == []
    [mistake] = mistakes("schedule == 'wsdd'", space)
    assert mistake.endswith("schedule='wsdd' is not one of ['wsd', 'cosine']; did you mean 'wsd'?")


def test_conditions_of_keys_are_looked_at_too() -> None:
    space = {"schedule": ["wsd", "cosine"], "optimizer.lr": {"choices": [1.0], "when": "schedule == 'wsdd'"}}
    [mistake] = mistakes("schedule == 'wsd'", space)
    assert mistake.startswith("space.optimizer.lr.when=\"schedule == 'wsdd'\": schedule='wsdd' is not one of")


@pytest.mark.parametrize(
    "choices", [[["attn", "ffn"], ["conv"]], [["attn", {"span": ["wde"]}]], [["${seed}"]]]
)
def test_lists_that_are_chosen_whole(choices: list[Any]) -> None:
    told = mistakes("'atn' in encoder.hidden_cls", {"encoder.hidden_cls": {"choices": choices}})
    assert len(told) == (len(choices) == 2)  # links and mappings may hold anything
