"""The words in which wrong input is told."""

from __future__ import annotations

import pytest

from nas.errors import (
    InputError,
    NasError,
    check_choice,
    check_positive,
    check_probability,
    nearest,
    told_once,
)


def test_input_error_keeps_its_mistakes_apart_and_is_a_value_error() -> None:
    error = InputError("one", "two")
    assert error.mistakes == ("one", "two")
    assert str(error) == "one\ntwo"
    assert isinstance(error, ValueError)
    assert isinstance(error, NasError)


@pytest.mark.parametrize(
    ("name", "allowed", "offer"),
    [
        ("fnn", ["attn", "ffn"], "; did you mean 'ffn'?"),
        ("xyz", ["attn", "ffn"], ""),
        ("a", [], ""),
        ("mhaa", ["attention/local", "attention/mha", "feedforward/mlp"], "; did you mean 'attention/mha'?"),
        ("mixing/convv", ["mixing/conv", "convv"], "; did you mean 'mixing/conv'?"),
    ],
)
def test_nearest(name: str, allowed: list[str], offer: str) -> None:
    assert nearest(name, allowed) == offer


def test_a_mistake_in_many_places_is_told_once() -> None:
    assert told_once({"n=0": ["a"], "m=1": ["b", "b", "c", "d"]}) == ["a: n=0", "b: m=1 (and 2 more)"]


def test_check_choice_names_key_value_allowed_and_nearest() -> None:
    check_choice("norm", "pre", ["pre", "post"])
    with pytest.raises(InputError) as caught:
        check_choice("norm", "pree", ["pre", "post"])
    assert str(caught.value) == "norm='pree' is not one of ['pre', 'post']; did you mean 'pre'?"


def test_checks_of_numbers_tell_every_wrong_argument() -> None:
    check_positive(a=1, b=0.1)
    check_probability(a=0, b=0.99)
    with pytest.raises(InputError) as caught:
        check_positive(a=0, b=1, c=-2)
    assert caught.value.mistakes == ("a=0 must be greater than 0", "c=-2 must be greater than 0")
    with pytest.raises(InputError) as caught:
        check_probability(a=1, b=-0.1)
    assert caught.value.mistakes == (
        "a=1 must be at least 0 and below 1",
        "b=-0.1 must be at least 0 and below 1",
    )
