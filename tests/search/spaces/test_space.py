"""Every form of a space, its parameters, and overrides that Hydra reads back to the same values."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.config.overrides import parse
from nas.errors import InputError
from nas.search.spaces.literals import literal
from nas.search.spaces.parameters import Choice, Range
from nas.search.spaces.reading import flatten
from nas.search.spaces.slots import Slots
from nas.search.spaces.space import Space

optuna.logging.set_verbosity(optuna.logging.WARNING)

EVERY_FORM = {
    "encoder.hidden_cls": {"slots": 3, "choices": ["attn", "conv", "none"]},
    "trainer.batch_size": [8, 16],
    "optimizer": {"lr": {"low": 1e-4, "high": 1e-2, "log": True}, "weight_decay": {"low": 0.0, "high": 0.5}},
    "encoder": {"hidden_size": {"low": 16, "high": 70, "step": 16}, "blocks": {"attn": {"norm": ["pre"]}}},
    "trainer.evaluate_at": {"choices": [[0.5, 1.0], [1.0]]},
    "task.num_pairs": {"low": 1, "high": 4},
}


def test_every_form_becomes_parameters_with_stable_names() -> None:
    names = [p.name for p in Space(EVERY_FORM).parameters()]
    assert names == [
        "encoder.hidden_cls.0", "encoder.hidden_cls.1", "encoder.hidden_cls.2", "trainer.batch_size",
        "optimizer.lr", "optimizer.weight_decay", "encoder.hidden_size", "encoder.blocks.attn.norm",
        "trainer.evaluate_at", "task.num_pairs",
    ]  # fmt: skip


def test_sizes_and_words() -> None:
    space = Space(EVERY_FORM)
    assert space.size() == math.inf
    assert space.discrete_size() == 3**3 * 2 * 4 * 1 * 2 * 4
    words = space.describe()
    assert words["encoder.hidden_cls"] == "3 slots, each one of ['attn', 'conv', 'none']"
    assert words["optimizer.lr"] == "number from 0.0001 to 0.01, log"
    assert words["encoder.hidden_size"] == "whole number from 16 to 64, step 16"
    assert words["task.num_pairs"] == "whole number from 1 to 4"


def test_a_trial_suggests_every_parameter_once() -> None:
    space = Space(EVERY_FORM)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    lines = space.overrides(trial)
    asked = {p.name for p in space.parameters()}
    if "attn" not in trial.params.values():
        asked.remove("encoder.blocks.attn.norm")  # a setting of a block that the list does not hold
    assert set(trial.params) == asked
    read = {str(p.key_or_group): p.value() for p in map(parse, lines)}
    assert read["optimizer.lr"] == trial.params["optimizer.lr"]
    assert read["encoder.hidden_cls"] == [trial.params[f"encoder.hidden_cls.{i}"] for i in range(3)]
    assert read["trainer.evaluate_at"] in ([0.5, 1.0], [1.0])
    assert space.overrides(trial) == lines


@pytest.mark.parametrize(
    ("form", "last", "size"),
    [
        ({"low": 0.0, "high": 1.0, "step": 0.3}, 0.9, 4),
        ({"low": 1, "high": 10, "step": 4}, 9, 3),
        ({"low": 0.1, "high": 0.5, "step": 0.1}, 0.5, 5),
        ({"low": 0.25, "high": 2, "step": 0.5}, 1.75, 4),
    ],
)
def test_a_range_ends_at_its_last_whole_step(form: dict[str, Any], last: float, size: int) -> None:
    [parameter] = Space({"k": form}).parameters()  # Optuna would warn of a remainder: an error here
    assert isinstance(parameter, Range)
    assert parameter.high == last
    assert parameter.size() == size
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = [parameter.suggest(study.ask()) for _ in range(60)]
    assert min(seen) == form["low"]
    assert max(seen) == pytest.approx(last)


texts = st.one_of(
    st.sampled_from(["null", "true", "False", "NaN", "inf", "", "a b", "it's", 'say "x"', "naïve", "日本",
                     "-1", "1e3", "a,b", "k=v", "{x", "[x", "a\\b", "a\\", "\\'", "a/b.c", "~", "a\nb",
                     "a\n"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12),
    st.text("\\'\"ab ", max_size=8),
)  # fmt: skip
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts
)


@given(st.one_of(scalars.filter(lambda v: not (isinstance(v, str) and v.startswith("[")))))
def test_a_scalar_is_read_back_as_it_was(value: Any) -> None:
    read = parse(f"key={literal(value)}").value()
    assert read == value
    assert type(read) is type(value)


@given(st.lists(st.one_of(scalars, st.lists(scalars, max_size=2)), max_size=4))
def test_a_list_valued_choice_is_read_back_as_it_was(value: list[Any]) -> None:
    try:
        space = Space({"key": [value, [7, 7, 7, 7, 7]]})
    except InputError as error:  # a text within it that looks like a list
        assert "cannot be a choice" in str(error)  # noqa: PT017
        return
    choice = space.parameters()[0]
    assert isinstance(choice, Choice)
    [line] = space.render(lambda _: choice.choices[0])
    assert parse(line).value() == value


@given(st.floats(1e-12, 1e12))
def test_a_suggested_number_survives_the_override(value: float) -> None:
    [line] = Space({"optimizer.lr": {"low": 1e-12, "high": 1e12}}).render(lambda _: value)
    assert parse(line).value() == value


WRONG: dict[str, tuple[Any, str]] = {
    "text": ("fast", "must be a list of choices"),
    "no choices": ([], "must be a list with at least one value"),
    "slots alone": ({"slots": 2}, "choices=None must be a list"),
    "no slots": ({"slots": 0, "choices": ["a"]}, "slots=0 must be a whole number of at least 1"),
    "half a slot": ({"slots": True, "choices": ["a"]}, "slots=True must be a whole number"),
    "upside down": ({"low": 2, "high": 1}, "low=2 must be less than high=1"),
    "no high": ({"low": 2}, "must be {low: number, high: number"),
    "a word": ({"low": "x", "high": 1}, "must be {low: number, high: number"),
    "infinite": ({"low": 0.0, "high": math.inf}, "must be {low: number, high: number"),
    "not a number": ({"low": math.nan, "high": 1.0}, "must be {low: number, high: number"),
    "log of zero": ({"low": 0, "high": 1, "log": True}, "log needs low > 0"),
    "log and step": ({"low": 1, "high": 9, "log": True, "step": 2}, "log needs low > 0 and no step"),
    "no step": ({"low": 1, "high": 9, "step": 0}, "step=0 must be greater than 0"),
    "typo": ({"low": 1, "high": 9, "stpe": 2}, "did you mean 'step'?"),
    "typo in choices": ({"choices": ["a"], "slot": 2}, "did you mean 'slots'?"),
    "twice": (["a", "b", "a"], "names a value twice"),
    "one and true": ([1, True], "names a value twice"),
    "a mapping": ([{"a": 1}], "cannot be a choice"),
    "a list as text": (["[1, 2]"], "cannot be a choice"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_form_names_key_and_rule(name: str) -> None:
    form, rule = WRONG[name]
    with pytest.raises(InputError) as caught:
        Space({"optimizer.lr": form})
    [mistake] = caught.value.mistakes
    assert mistake.startswith("space.optimizer.lr")
    assert rule in mistake


def test_all_mistakes_are_told_together() -> None:
    with pytest.raises(InputError) as caught:
        Space({f"k{i}": form for i, (form, _) in enumerate(WRONG.values())})
    assert len(caught.value.mistakes) == len(WRONG)


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(InputError, match="is empty"):
        Space({})


def test_nested_keys_are_joined_down_to_their_forms() -> None:
    nested = {"a": {"b": {"low": 1, "high": 2}, "c": [1]}, "d.e": {"choices": [1]}}
    assert list(flatten(nested)) == ["a.b", "a.c", "d.e"]


def test_slots_keep_their_order() -> None:
    space = Space({"encoder.hidden_cls": {"slots": 3, "choices": ["a", "b", "c"]}})
    [entry] = space.entries
    assert isinstance(entry, Slots)
    values = dict(zip((item.name for item in entry.items), "cab", strict=True))
    assert space.render(lambda p: values[p.name]) == ["encoder.hidden_cls=[c,a,b]"]


@pytest.mark.parametrize(
    "when", ["x.list.1 == 'a'", "x.list[1] == 'a'", "'a' in x.list", "x.list[-1] == 'a'"]
)
def test_a_condition_waits_for_the_item_of_a_list_that_it_reads(when: str) -> None:
    described = {"rate": {"choices": [1.0, 2.0], "when": when}, "x.list.1": ["a", "b"]}
    assert [entry.name for entry in Space(described).entries] == ["x.list.1", "rate"]


def test_a_condition_does_not_wait_for_another_item() -> None:
    described = {"rate": {"choices": [1.0, 2.0], "when": "x.list[0] == 'a'"}, "x.list.1": ["a", "b"]}
    assert [entry.name for entry in Space(described).entries] == ["rate", "x.list.1"]


def test_what_decides_whether_a_key_is_asked_for_holds_single_items() -> None:
    described = {"x.list.1": ["a", "b"], "rate": {"choices": [1.0, 2.0], "when": "x.list.1 == 'a'"}}
    space = Space(described)
    assert space.needed_by(space.entries[1]) == {"x.list.1"}
