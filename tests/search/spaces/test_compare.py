"""Two versions of a space: what a message says of their difference."""

from __future__ import annotations

from typing import Any

import pytest

from nas.search.spaces.compare import compare
from nas.search.spaces.space import Space

OLD: dict[str, Any] = {"encoder.hidden_cls": {"slots": 2, "choices": ["a", "b"]}, "optimizer.lr": [0.1, 0.2]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"encoder.hidden_size": [8, 16]}, ["no space.encoder.hidden_size"]),
        ({"optimizer.lr": None}, ["space.optimizer.lr, which is gone"]),
        ({"optimizer.lr": [0.1, 0.3]}, ["the choices [0.2] of space.optimizer.lr, which are gone"]),
        (
            {"encoder.hidden_cls": {"slots": 3, "choices": ["a", "c"]}},
            [
                "space.encoder.hidden_cls.slots=2, now 3",
                "the choices ['b'] of space.encoder.hidden_cls, which are gone",
            ],
        ),
    ],
)
def test_what_no_study_can_go_on_with(change: dict[str, Any], told: list[str]) -> None:
    new = {key: value for key, value in {**OLD, **change}.items() if value is not None}
    assert compare(Space(OLD).forms(), Space(new).forms()).changed == told


def test_a_range_instead_of_choices_and_more_of_them() -> None:
    ranged = compare(Space(OLD).forms(), Space({**OLD, "optimizer.lr": {"low": 0.1, "high": 0.2}}).forms())
    assert ranged.changed
    assert all("space.optimizer.lr" in sentence for sentence in ranged.changed)
    more = compare(Space(OLD).forms(), Space({**OLD, "optimizer.lr": [0.1, 0.2, 0.4]}).forms())
    assert (more.changed, more.gained, more.regrown) == (
        [],
        ["space.optimizer.lr has gained [0.4]"],
        True,
    )
