"""Where the rungs are, and the numbers that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from nas.errors import InputError
from nas.search.rungs.halving import SuccessiveHalving, percent


@pytest.mark.parametrize(
    ("evaluate_at", "settings", "levels"),
    [
        ([0.25, 0.5, 1.0], {}, [25, 50]),
        ([0.25, 0.5, 0.75, 1.0], {"reduction_factor": 3}, [25, 75]),
        ([0.125, 0.25, 0.5, 1.0], {}, [12, 25, 50]),
        ([i / 10 for i in range(1, 11)], {}, [20, 40, 80]),
        ([i / 10 for i in range(1, 11)], {"first": 0.25}, [30, 60]),
        ([i / 10 for i in range(1, 11)], {"first": 0.1}, [10, 20, 40, 80]),
        ([1.0, 0.5, 0.1], {}, [50]),
        ([1.0], {}, []),
    ],
)
def test_rungs_are_evaluations_ever_farther_apart(
    evaluate_at: list[float], settings: dict[str, Any], levels: list[int]
) -> None:
    assert SuccessiveHalving(**settings).levels(evaluate_at) == levels


def test_all_numbers_out_of_range_are_told_together() -> None:
    with pytest.raises(InputError) as caught:
        SuccessiveHalving(reduction_factor=1, first=1.0, bold=-0.1, hopeless=0.5)
    told = caught.value.mistakes
    assert [line.split("=")[0] for line in told] == [
        "rungs.reduction_factor", "rungs.first", "rungs.bold", "rungs.hopeless",
    ]  # fmt: skip


def test_percent() -> None:
    assert [percent(share) for share in (0.25, 0.5, 3 / 13, 1.0)] == [25, 50, 23, 100]
