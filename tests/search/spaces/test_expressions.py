"""Conditions of users: what they may say, and that they can do nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from nas.errors import InputError
from nas.search.spaces.expressions import Expression

VALUES: dict[str, Any] = {
    "encoder.hidden_cls": ["attn", "ffn", "attn", "none"],
    "encoder.hidden_size": 64,
    "optimizer.lr": 0.01,
    "task": "mqar",
    "study": None,
    "flag": True,
}


def holds(text: str) -> bool:
    return Expression(text, "forbid.0").holds(VALUES.__getitem__)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'attn' in encoder.hidden_cls", True),
        ("'conv' not in encoder.hidden_cls", True),
        ("count(encoder.hidden_cls, 'attn') > 2", False),
        ("encoder.hidden_cls[0] == 'attn' and encoder.hidden_cls[-1] == 'none'", True),
        ("encoder.hidden_cls[9] == null", True),
        ("encoder.hidden_cls.0 == 'attn' and encoder.hidden_cls.9 == null", True),
        ("'encoder.hidden_cls.0' == \"encoder.hidden_cls.0\"", True),
        ("len(encoder.hidden_cls) % 2 == 0 or optimizer.lr > 1", True),
        ("not (encoder.hidden_size // 4 >= 16)", False),
        ("32 < encoder.hidden_size <= 64", True),
        ("encoder.hidden_size in [32, 64]", True),
        ("optimizer.lr * encoder.hidden_size - 1 < -0.1", True),
        ("study == None and flag == true and flag", True),
        ("task == 'mqar' or nothing.here > 3", True),  # not looked at
        ("max([1, encoder.hidden_size]) == 64 and abs(-2) == 2 and sum([1, 2]) == 3", True),
    ],
)
def test_what_a_condition_says(text: str, expected: bool) -> None:
    assert holds(text) is expected


def test_a_condition_tells_its_keys() -> None:
    expression = Expression("count(encoder.hidden_cls, 'attn') > task.x[0] and true", "forbid.0")
    assert expression.keys == {"encoder.hidden_cls", "task.x"}


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "open('x')", "(lambda: 1)()", "[x for x in encoder.hidden_cls]",
        "task.__class__()", "encoder.hidden_cls[encoder.hidden_size]", "2 ** 64 > 3", "f'{task}' == 'x'",
        "(1).real", "encoder.hidden_cls[0:2]", "count(*task)", "x := 3", "await task", "{1: 2}", "{1}",
        "1 if task else 2", "task is None", "count(values=task)", "print(1)", "b'x' == task", "1j > 2",
        "~3 == 1",
    ],
)  # fmt: skip
def test_nothing_else_is_allowed(text: str) -> None:
    with pytest.raises(InputError, match=r"^forbid\.0=") as caught:
        Expression(text, "forbid.0")
    assert len(caught.value.mistakes) == 1


@pytest.mark.parametrize(
    "text", ["", "  ", "a >", "a b", ")", 3, None, True, "x" * 2000, "(" * 500, "a\x00b"]
)
def test_what_cannot_be_read_names_its_place(text: Any) -> None:
    with pytest.raises(InputError, match=r"forbid\.7="):
        Expression(text, "forbid.7")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("encoder.hidden_size + 1", "not true or false"),
        ("task > 3", "not supported"),
        ("task and flag", "not true or false"),
        ("encoder.hidden_size / (optimizer.lr - optimizer.lr) > 1", "division"),
        ("task * 1000000000 == 3", "is no number"),
        ("count(3, 3) == 1", "is no list"),
        ("encoder.hidden_size[0] == 1", "is no list"),
        ("3 in encoder.hidden_size", "is no list"),
        ("count(task) == 1", "takes 2 arguments, not 1"),
    ],
)
def test_values_that_do_not_fit_are_told(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        holds(text)
    assert str(caught.value).startswith(f"forbid.0={text!r}")


def test_what_a_condition_reads() -> None:
    expression = Expression("x.list[0] == 'a' and x.other[-1] == 'b' and len(x.third) > 1", "forbid.0")
    read = ("x.list.0", "x.other.0", "x.other.7", "x.third.3", "x.list", "x.third")
    not_read = ("x.list.1", "x", "x.third.a", "x.fourth.0")
    assert all(map(expression.reads, read))
    assert not any(map(expression.reads, not_read))
