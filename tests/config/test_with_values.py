"""Composing once and setting values is the same as composing anew, and much quicker."""

from __future__ import annotations

import functools
import time

import pytest

from nas.config.compose import Composed, compose, with_values
from nas.errors import InputError

BASE = ["encoder=hybrid", "task=mqar"]
VALUES = [
    ["seed=3"],
    ["encoder.hidden_cls=[attn,ffn]", "optimizer.lr=0.01"],
    ["encoder.hidden_cls.2=none", "encoder.hidden_cls.3=none"],
    ["encoder.hidden_size=32", "encoder.blocks.attn.num_heads=2"],
    ["encoder.blocks.attn._partial_=false"],
    ["trainer.evaluate_at=[0.1,1.0]", "trainer.steps=null", "trainer.tokens=1000"],
    ["encoder.hidden_cls=[attn]", "encoder.hidden_cls.0=none"],
    ["study='a b'", "encoder.blocks.attn.norm=post"],
]
GROUPS = [
    ["encoder=bert"],
    ["task=mlm", "task.seq_length=32"],
    ["+block@encoder.blocks.wide=feedforward/mlp", "encoder.blocks.wide.ratio=8"],
    ["block@encoder.blocks.ffn=mixing/conv"],
    ["~encoder.blocks.layer"],
    ["debug=quick"],
    ["optimizer=adamw", "optimizer.lr=0.5"],
]


@functools.cache
def base() -> Composed:
    return compose("train", BASE)


@pytest.mark.parametrize("overrides", [*VALUES, *GROUPS])
def test_it_equals_a_full_composition(overrides: list[str]) -> None:
    quick = with_values(base(), "train", overrides)
    full = compose("train", [*BASE, *overrides])
    assert quick.values() == full.values()
    assert quick.overrides == full.overrides
    assert quick.choices == full.choices


def test_the_base_is_not_changed() -> None:
    before = base().values()
    with_values(base(), "train", ["seed=9", "encoder.hidden_cls.0=none"])
    assert base().values() == before


@pytest.mark.parametrize("wrong", ["seed=x", "encoder.hidden_cls.0=fnn", "encoder.hiden_size=3", "seed=1,2"])
def test_mistakes_are_told_as_by_a_full_composition(wrong: str) -> None:
    with pytest.raises(InputError) as quick:
        with_values(base(), "train", [wrong])
    with pytest.raises(InputError) as full:
        compose("train", [*BASE, wrong])
    assert quick.value.mistakes == full.value.mistakes


def test_targets_are_checked_again() -> None:
    with pytest.raises(InputError, match="is not trusted"):
        with_values(base(), "train", ["encoder.blocks.attn._target_=os.system"])


def test_values_are_set_quickly() -> None:
    with_values(base(), "train", ["seed=1"])
    start = time.process_time()
    for seed in range(5):
        with_values(base(), "train", [f"seed={seed}", "encoder.hidden_cls.0=none"])
    assert (time.process_time() - start) / 5 < 0.3
