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
    return RungBench(settings, **{"yardstick": "end", "budgets": [4, 8], "orders": 2, **more})


def test_the_curves_that_come_along_are_raced() -> None:
    results = bench().measure(0, lambda line: None)
    text, late = results["recordings"]
    for told in (text, late):
        assert told["candidates"] > 50
        assert [row["name"] for row in told["rows"]] == ["end", "halves"]
        end, halves = told["rows"]
        assert end["work"] == told["candidates"]
        assert end["mean"][-1] == 1
        assert end["beside"] == {"mean": [0.0] * 3, "error": [0.0] * 3}
        assert halves["beside"]["mean"][0] == pytest.approx(halves["mean"][0] - end["mean"][0])
        assert halves["work"] < 0.75 * end["work"]
        assert all(1 <= mean <= told["candidates"] for row in told["rows"] for mean in row["mean"])
    assert list(text["agreement"].values()) == sorted(text["agreement"].values())
    assert late["agreement"][0.25] < text["agreement"][0.25]
    question, table, beside, line, *_ = bench().tables(results)
    assert question == text["question"]
    assert table.row_count == beside.row_count == 2  # type: ignore[union-attr]
    assert "0.25: " in str(line)


def test_who_learns_late_is_missed_where_nobody_is_bold() -> None:
    """One candidate is the worst until it is the best: only a bold one shows it."""
    late = [*PARALLEL[1:], {0.25: 99.0, 0.5: 99.0, 1.0: 0.0}]

    def best(bold: float) -> float:
        rungs = SuccessiveHalving(bold=bold, hopeless=None)
        return min(value for _, value in Replay(late, rungs, SHARES, 2, seed=1).finished())

    assert best(0.0) == 3.0
    assert best(1.0) == 0.0


def test_curves_of_ones_own_and_files_that_are_none(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"shares": SHARES, "curves": [list(curve.values()) for curve in PARALLEL]}))
    assert bench(curves=str(own)).measure(0, lambda line: None)["recordings"][0]["rows"][1]["work"] < 12
    own.write_text("{}")
    with pytest.raises(InputError, match=r"bench\.yardstick='half'"):
        bench(yardstick="half")
    for path in (own, tmp_path / "none.json"):
        with pytest.raises(InputError, match=r"bench\.curves="):
            bench(curves=str(path))
