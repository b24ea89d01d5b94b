"""The bench of rungs on curves whose outcome is known, and on those that come along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.bench.replay import Replay
from nas.bench.rungs import RungBench
from nas.errors import InputError
from nas.search.rungs.halving import SuccessiveHalving

PARALLEL = [{0.25: 4.0 + n, 0.5: 3.0 + n, 1.0: 2.0 + n} for n in range(16)]
SHARES = [0.25, 0.5, 1.0]


def finished(
    rungs: SuccessiveHalving | None, shares: list[float], workers: int = 2
) -> list[tuple[float, float]]:
    return list(Replay(PARALLEL, rungs, shares, workers, seed=1).finished())


def test_to_the_end_every_candidate_costs_one_training() -> None:
    ends = finished(None, [1.0])
    assert sorted(value for _, value in ends) == [2.0 + n for n in range(16)]
    assert [at for at, _ in ends] == [2.0 * (1 + n // 2) for n in range(16)]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_with_rungs_the_best_of_all_is_found_for_less(workers: int) -> None:
    replay = Replay(PARALLEL, SuccessiveHalving(bold=0.0, hopeless=None), SHARES, workers, seed=1)
    ends = list(replay.finished())
    assert min(value for _, value in ends) == 2.0
    # 16 reach the first rung, 8 of them the second, 4 of those the end; luck of the order lets more pass
    assert 16 * 0.25 + 8 * 0.25 + 4 * 0.5 <= replay.work < 12
    assert replay.work <= max(at for at, _ in ends) + 1e-9


def bench(**more: Any) -> RungBench:
    settings = {"end": {"evaluate_at": [1.0]}, "halves": {"evaluate_at": SHARES}}
    return RungBench(settings, budgets=[4, 8], orders=2, **more)


def test_the_curves_that_come_along_are_raced() -> None:
    results = bench().measure(0, lambda line: None)
    assert results["candidates"] > 50
    assert [row["name"] for row in results["rows"]] == ["end", "halves"]
    end, halves = results["rows"]
    assert end["work"] == results["candidates"]
    assert halves["work"] < 0.75 * end["work"]
    assert all(1 <= mean <= results["candidates"] for row in results["rows"] for mean in row["mean"])
    assert list(results["agreement"].values()) == sorted(results["agreement"].values())
    table, line = bench().tables(results)
    assert table.row_count == 2  # type: ignore[union-attr]
    assert "0.25: " in str(line)


def test_curves_of_ones_own_and_files_that_are_none(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"shares": SHARES, "curves": [list(curve.values()) for curve in PARALLEL]}))
    assert bench(curves=str(own)).measure(0, lambda line: None)["rows"][1]["work"] < 12
    own.write_text("{}")
    for path in (own, tmp_path / "none.json"):
        with pytest.raises(InputError, match=r"bench\.curves="):
            bench(curves=str(path))
