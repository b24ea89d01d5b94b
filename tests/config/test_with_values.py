"""Composing once and setting values is the same as composing anew, and much quicker."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from nas.config.compose import Composed, compose, with_values
from nas.errors import InputError

BASE = ["encoder=hybrid", "task=mqar"]
VALUES = [
    ["seed=3", "encoder.hidden_size=32", "encoder.blocks.attn.num_heads=2", "study='a b'"],
    ["encoder.hidden_cls=[attn,ffn]", "optimizer.lr=0.01", "encoder.blocks.attn.norm=post"],
    ["encoder.hidden_cls.2=none", "encoder.hidden_cls.3=none", "encoder.blocks.attn._partial_=false"],
    ["encoder.hidden_cls=[attn]", "encoder.hidden_cls.0=none",
     "trainer.evaluate_at=[0.1,1.0]", "trainer.steps=null", "trainer.tokens=1000"],
]  # fmt: skip
GROUPS = [
    ["encoder=bert"],
    ["task=mlm", "task.seq_length=32", "optimizer=adamw", "optimizer.lr=0.5"],
    ["+block@encoder.blocks.wide=feedforward/mlp", "encoder.blocks.wide.ratio=8"],
    ["block@encoder.blocks.ffn=mixing/conv", "~encoder.blocks.layer"],
    ["debug=quick"],
]
KEYS = [
    ["+encoder.blocks.mine={_target_: nas.blocks.none.NoBlock, _partial_: true}", "++seed=4"],
    ["trainer={steps: 3}", "~encoder.blocks.loop.span.attention", "encoder.hidden_cls.0={_target_: "
     "nas.blocks.none.NoBlock}"],
]  # fmt: skip
"""Values that are not only set in the place of others: Hydra sets them."""


@functools.cache
def base() -> Composed:
    return compose("train", BASE)


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], Composed]:
    """Compose by Hydra alone, whatever was composed before."""

    def compose_anew(overrides: list[str]) -> Composed:
        with monkeypatch.context() as patch:
            patch.setattr("nas.config.compose._comes_from_elsewhere", lambda text: True)
            return compose("train", overrides)

    return compose_anew


@pytest.mark.parametrize("overrides", [*VALUES, *GROUPS, *KEYS])
def test_it_equals_a_full_composition(overrides: list[str], anew: Callable[[list[str]], Composed]) -> None:
    quick, known = with_values(base(), "train", overrides), compose("train", [*BASE, *overrides])
    full = anew([*BASE, *overrides])
    assert quick.values() == known.values() == full.values()
    assert quick.overrides == known.overrides == full.overrides
    assert quick.choices == known.choices == full.choices


def test_the_base_is_not_changed() -> None:
    before = base().values()
    with_values(base(), "train", ["seed=9", "encoder.hidden_cls.0=none"])
    assert base().values() == before


@pytest.mark.parametrize("wrong", ["seed=x", "encoder.hidden_cls.0=fnn", "encoder.hiden_size=3", "seed=1,2"])
def test_mistakes_are_told_as_by_a_full_composition(
    wrong: str, anew: Callable[[list[str]], Composed]
) -> None:
    small = ["encoder=fnet", "task=mqar"]
    with pytest.raises(InputError) as quick:
        with_values(compose("train", small), "train", [wrong])
    with pytest.raises(InputError) as full:
        anew([*small, wrong])
    assert quick.value.mistakes == full.value.mistakes


def test_the_same_choices_are_composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compose("train", [*BASE, "seed=1"])
    monkeypatch.setattr("nas.config.compose.hydra_compose", None)
    assert compose("train", [*BASE, "encoder.hidden_size=32"]).values()["encoder"]["hidden_size"] == 32


def test_what_is_composed_of_known_choices_is_the_callers_own() -> None:
    compose("train", BASE).plain["encoder"]["hidden_cls"].clear()
    assert compose("train", BASE).plain["encoder"]["hidden_cls"]


def test_targets_are_checked_again() -> None:
    with pytest.raises(InputError, match="is not trusted"):
        with_values(base(), "train", ["encoder.blocks.attn._target_=os.system"])
