"""Whole plans: everything that is wrong with a search, told before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nas.config.compose import Composed, compose
from nas.errors import InputError
from nas.search.plan import Plan, plan_search, seeded

SLOTS: dict[str, Any] = {"slots": 2, "choices": ["attn", "conv"]}


def planned(lab: Any, space: Any, *overrides: str, **more: Any) -> Plan:
    return plan_search(compose("search", lab.overrides(lab.sweep("asked", space, **more), *overrides)))


def asked(lab: Any, space: Any, *overrides: str, **more: Any) -> Plan:
    """Plan what a sweep file of this space and these keys of the search asks; others compose such files."""
    search = compose("search", lab.overrides(lab.sweep("any", {"optimizer.lr": [0.1]}), *overrides))
    plain = {**search.plain, "space": space, **more}
    return plan_search(Composed(plain, search.choices, search.overrides, search.trusted))


WRONG: dict[str, tuple[Any, dict[str, Any], list[str]]] = {
    "unknown keys": (
        {"optimizer.lrr": [0.1], "encoder.blocks.conv.nrm": [1], "encoder.hidden_cls": SLOTS},
        {},
        ["space: optimizer.lrr is not a key; did you mean 'optimizer.lr'?", "space: encoder.blocks.conv.nrm"],
    ),
    "a slot that is chosen twice": (
        {"encoder.hidden_cls": SLOTS, "encoder.hidden_cls.0": ["attn", "mlp"]},
        {},
        ["space.encoder.hidden_cls.0 is a part of space.encoder.hidden_cls, which chooses it already"],
    ),
    "unknown blocks": (
        {"encoder.hidden_cls": {"slots": 1, "choices": ["atn", ["attn", "cnv"]]}},
        {},
        [
            "encoder.hidden_cls.0='atn' is not in encoder.blocks ['attn', 'conv', 'ffn', 'fourier', 'layer', "
            "'local', 'loop', 'mlp', 'none', 'reuse', 'ssm']; did you mean 'attn'?",
            "encoder.hidden_cls.1='cnv' is not in",
        ],
    ),
    "empty": ({}, {}, ["space={} is empty"]),
    "objective": ({"optimizer.lr": [0.1]}, {"objective": "val/los"}, ["did you mean 'val/loss'?"]),
    "nothing to do": (
        {"optimizer.lr": [0.1]},
        {"n_trials": 0, "workers": 0},
        ["n_trials=0", "workers=0"],
    ),
    "forms, keys, blocks and values at once": (
        {
            "optimizer.lr": {"low": 1.0, "high": 0.1},
            "schedul.decay": [0.1],
            "encoder.hidden_cls": {"slots": 3, "choices": ["attn", "cnv"]},
            "encoder.blocks.attn.num_heads": {"choices": [2, 3], "when": "oops("},
        },
        {"workers": 0},
        [
            "workers=0",
            "low=1.0 must be less than high=0.1",
            "oops(",
            "schedul.decay is not a key",
            "0='cnv'",
            "num_heads=3",
        ],
    ),
    "no effect": (
        {"encoder.hidden_cls": SLOTS, "encoder.blocks.ffn.ratio": [1.0]},
        {},
        ["space: encoder.blocks.ffn.ratio has no effect: encoder.hidden_cls never holds ffn"],
    ),
    "values": (
        {"encoder.hidden_cls": SLOTS, "encoder.blocks.conv.kernel_size": [3, 4]},
        {},
        ["kernel_size=4 must be odd"],
    ),
    "never asked for": (
        {
            "encoder.hidden_cls": SLOTS,
            "trainer.steps": {"choices": [3], "when": "'ffn' in encoder.hidden_cls"},
        },
        {},
        ["space.trainer.steps is never asked for"],
    ),
    "conditions": (
        {"encoder.hidden_cls": SLOTS},
        {"forbid": ["encoder.hiden_size > 3", "open('x')"]},
        ["forbid.1=\"open('x')\"", "forbid.0='encoder.hiden_size > 3': encoder.hiden_size is not a key"],
    ),
    "no condition": (
        {"encoder.hidden_cls": SLOTS},
        {"forbid": ["encoder.hidden_size"]},
        ["not true or false"],
    ),
    "rules": (
        {"encoder.hidden_size": [16, 32]},
        {"constraints": {"latency_ms": {"max": 0}}, "match": {"cost/parameters": 1e4}},
        ["constraints.latency_ms=", "match.by='encoder.hidden_size' is in the space too"],
    ),
    "numbers": (
        {"encoder.hidden_size": [16, 32]},
        {"replicates": 0, "baselines": -1},
        ["replicates=0", "baselines=-1"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_all_mistakes_are_told_together(lab: Any, name: str) -> None:
    space, more, told = WRONG[name]
    with pytest.raises(InputError) as caught:
        asked(lab, space, **more)
    assert len(caught.value.mistakes) == len(told), caught.value.mistakes
    for mistake, words in zip(caught.value.mistakes, told, strict=True):
        assert words in mistake
    assert not lab.outputs.exists()


def test_a_storage_for_reading_is_told_how_to_go_on(lab: Any) -> None:
    with pytest.raises(InputError) as caught:
        asked(lab, {"encoder.hidden_cls": SLOTS}, "storage=sqlite", "storage.path=old.db")
    [told] = caught.value.mistakes
    assert told.startswith("storage=sqlite is for reading studies")
    assert told.endswith("search with storage=journal, or storage=postgres for several machines")


def test_a_sweep_sets_the_keys_of_the_study(lab: Any) -> None:
    plan = planned(lab, {"encoder.hidden_cls": SLOTS}, "retries=2", n_trials=3, retries=5, rungs=None)
    assert (plan.config["n_trials"], plan.config["retries"], plan.config["rungs"]) == (3, 2, None)
    assert plan.gate.open


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ("task", "match.by='task' is 'mqar': it must be a key with a number, such as encoder.hidden_size"),
        ("seed", "match.by='seed' does not change cost/parameters: name a key that does"),
    ],
)
def test_a_match_needs_a_key_that_changes_the_cost(lab: Any, by: str, told: str) -> None:
    """Else hours went by in looking for the configuration that a value of the key could repair."""
    with pytest.raises(InputError) as caught:
        asked(lab, {"encoder.hidden_cls": SLOTS}, match={"cost/parameters": 2e4, "by": by})
    [mistake] = caught.value.mistakes
    assert mistake.startswith(told)


@pytest.mark.parametrize("sampler", ["auto", "tpe"])
@pytest.mark.parametrize("seed", [-1, 5_000_000_000])
def test_any_whole_number_is_a_seed(lab: Any, sampler: str, seed: int) -> None:
    plan = planned(lab, {"optimizer.lr": [0.1]}, f"sampler={sampler}", f"seed={seed}")
    assert plan.question.seed == seed


def test_a_sampler_may_have_a_seed_of_its_own() -> None:
    own, linked, none = ({"seed": seed} for seed in (3, 0, None))
    assert seeded(own, 0, 5) != seeded(linked, 0, 5) == seeded(none, 0, 5)
    assert seeded({"_target_": "x"}, 0) == {"_target_": "x"}


def test_a_sweep_says_what_it_cannot_set(lab: Any) -> None:
    with pytest.raises(InputError, match=r"sampler in sweep=.* has no effect: give sampler"):
        planned(lab, {"optimizer.lr": [0.1]}, sampler={"seed": 3})


@pytest.mark.slow  # it builds every choice
def test_every_part_of_a_conditional_space_is_built(lab: Any) -> None:
    space = {
        "encoder.hidden_cls": {
            "pattern": {"low": 1, "high": 2}, "repeat": [1, 2], "tie": [False, True],
            "choices": ["attn", ["conv", "mlp"], {"span": ["attn", "mlp"], "repeat": 2}],
        },
        "encoder.blocks.attn.num_heads": [1, 2],
        "schedule": ["cosine", "wsd"],
        "schedule.decay": {"low": 0.1, "high": 0.3, "when": "schedule == 'wsd'"},
    }  # fmt: skip
    plan = planned(lab, space)
    assert plan.question.space.discrete_size() == _size()


def _size() -> int:
    """Lists of one or two of three choices, two of which hold attention with one of two numbers of heads."""
    lists = [("a",), ("c",), ("s",)] + [(x, y) for x in "acs" for y in "acs"]
    counted = sum(2 if {"a", "s"} & {*items} else 1 for items in lists)
    return counted * 2 * 2 * 2  # repeat, tie, schedule


def test_sweeps_are_composed(lab: Any) -> None:
    first = lab.sweep("one", {"optimizer.lr": [0.1]}, n_trials=3).removeprefix("sweep=")
    second = lab.sweep("two", {"encoder": {"hidden_size": [16, 32]}}, trainer={"steps": 5}).removeprefix(
        "sweep="
    )
    plan = plan_search(compose("search", lab.overrides(f"sweep=[{first},{second}]")))
    assert plan.question.name == "one+two"
    assert [*plan.question.space.describe()] == ["optimizer.lr", "encoder.hidden_size"]
    assert plan.config["n_trials"] == 3
    assert plan.composed.overrides[0] == f"sweep=[{first},{second}]"
    third = lab.sweep("three", {"optimizer": {"lr": [0.2]}}, n_trials=4).removeprefix("sweep=")
    with pytest.raises(InputError) as caught:
        plan_search(compose("search", lab.overrides(f"sweep=[{first},{third}]")))
    assert len(caught.value.mistakes) == 2
    assert "space.optimizer.lr is [0.1] in sweep=" in caught.value.mistakes[0]


def test_sweeps_of_a_further_folder_are_compared_too(lab: Any, tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    for name, rate in (("one", 0.1), ("two", 0.2)):
        text = f"# @package _global_\nspace:\n  optimizer.lr: [{rate}]\nsampler:\n  seed: 1\n"
        (tmp_path / "sweep" / f"{name}.yaml").write_text(text)
    folder = f"hydra.searchpath=['file://{tmp_path}']"
    with pytest.raises(InputError) as caught:
        plan_search(compose("search", lab.overrides("sweep=[one,two]", folder)))
    assert list(caught.value.mistakes) == [
        "space.optimizer.lr is [0.1] in sweep=one and [0.2] in sweep=two: compose sweeps that agree",
        "sampler in sweep=two has no effect: give sampler... on the command line",
    ]


def test_constraints_are_given_on_the_command_line_as_in_a_sweep(lab: Any) -> None:
    space = {"encoder.hidden_size": [16, 32]}
    given = "constraints={cost/parameters: {max: 1.0e+9}, latency_ms: {max: 9000}}"
    plan = plan_search(compose("search", lab.overrides(lab.sweep("given", space), given)))
    assert plan.config["constraints"] == {"cost/parameters": {"max": 1e9}, "latency_ms": {"max": 9000}}
    wrong = "constraints={cost/parameter: {max: 1}}"
    with pytest.raises(InputError, match=r"constraints.*cost/parameter.*did you mean 'cost/parameters'"):
        plan_search(compose("search", lab.overrides(lab.sweep("given", space), wrong)))
