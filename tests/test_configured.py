"""Objects that remember their arguments."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from nas.configured import Configured


class Base(Configured):
    def __init__(self, size: int, name: str = "base") -> None:
        self.size = size
        self.name = name


class Child(Base):
    def __init__(self, depth: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.depth = depth


class Plain(Base):
    """Has no constructor of its own."""


def test_defaults_and_positions_are_recorded() -> None:
    assert Base(3).config == {"size": 3, "name": "base"}
    assert Base(3, "x").config == {"size": 3, "name": "x"}
    assert Plain(4).config == {"size": 4, "name": "base"}


def test_the_outermost_constructor_is_recorded_and_rebuilds() -> None:
    child = Child(size=5, name="y")
    assert child.config == {"depth": 2, "size": 5, "name": "y"}
    again = Child(**child.config)
    assert (again.size, again.name, again.depth) == (5, "y", 2)


def test_keywords_that_are_handed_on_are_told() -> None:
    assert list(inspect.signature(Child).parameters) == ["depth", "size", "name"]
    assert Child(size=5).config == {"depth": 2, "size": 5, "name": "base"}


class Bare(Configured):
    """Has no constructor at all."""


class OfBare(Bare):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size


def test_without_a_constructor_there_are_no_arguments() -> None:
    assert Bare().config == {}
    assert OfBare(2).config == {"size": 2}


def test_a_missing_argument_is_pythons_own_error() -> None:
    with pytest.raises(TypeError, match="size"):
        Base()  # type: ignore[call-arg]
