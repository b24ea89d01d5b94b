"""The bench of samplers: landscapes with known answers, and tables anyone can reproduce."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.bench.landscapes import NK, Recorded, nas_bench_bert
from nas.bench.samplers import SamplerBench, reach
from nas.bench.searchers import LargestFirst
from nas.errors import InputError


def quiet(line: str) -> None:
    """Ignore progress."""


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_nk_knows_its_best_and_worst(k: int) -> None:
    land = NK(slots=4, blocks=3, k=k, seed=k)
    values = np.array([land.value(number) for number in range(3**4)])
    scores = [land.score(value) for value in values]
    assert min(scores) == pytest.approx(0)
    assert max(scores) == pytest.approx(1)


def test_neighbours_of_an_additive_landscape_add_up_and_rugged_ones_do_not() -> None:
    def interaction(k: int) -> float:
        land = NK(slots=3, blocks=2, k=k, seed=0)
        a, b, c, d = (land.value(land.nearest({"slot.0": x, "slot.1": y, "slot.2": 0}, set())[0])
                      for x in (0, 1) for y in (0, 1))  # fmt: skip
        return abs(a - b - c + d)

    assert interaction(0) == pytest.approx(0)
    assert interaction(1) > 0.01


def table() -> Recorded:
    rows: list[dict[str, Any]] = [{"a": a, "b": b} for a in (0, 1, 2) for b in "xy"]
    return Recorded("small", rows, [0.0, 5.0, 1.0, 4.0, 2.0, 3.0], [1, 2, 3, 4, 5, 6])


def test_a_proposal_stands_for_its_nearest_untried_row() -> None:
    land = table()
    assert land.nearest({"a": 1, "b": "y"}, set()) == (3, {"a": 1, "b": "y"})
    number, params = land.nearest({"a": 1, "b": "y"}, {3})
    assert params["a"] == 1 or params["b"] == "y"
    assert number != 3
    assert land.score(5.0) == 1
    assert land.score(2.0) == 4


def test_largest_first_goes_down_the_sizes() -> None:
    searcher = LargestFirst(table())
    assert [searcher.ask() for _ in range(2)] == [{"a": 2, "b": "y"}, {"a": 2, "b": "x"}]


def test_it_measures_and_shows() -> None:
    bench = SamplerBench(["random", "tpe", "largest_first"], nk=[[3, 3, 1]], evaluations=12, seeds=2)
    results = bench.measure(0, quiet)
    rows = {row["sampler"]: row for row in results["rows"]}
    assert rows["largest_first"]["absent"] == "nothing has a size"
    for name in ("random", "tpe"):
        mean = rows[name]["mean"]
        assert len(mean) == 12
        assert mean == sorted(mean)
        assert 0 <= mean[0] <= mean[-1] <= 1
    assert reach(rows["random"], rows["random"]) is not None
    assert json.loads(json.dumps(results)) == results
    [shown] = bench.tables(results)
    assert shown.row_count == 3
    assert bench.measure(0, quiet) == results


def test_nas_bench_bert(shared: Path) -> None:
    path = shared / "data" / "nas_bench_bert.json"
    assert len(nas_bench_bert(path, None).rows) == 500
    cell = nas_bench_bert(path, (128, 2))
    assert {(row["hidden"], row["layers"]) for row in cell.rows} == {(128, 2)}
    bench = SamplerBench(["auto", "largest_first"], nk=[], nas_bench_bert=str(path), evaluations=20, seeds=1)
    rows = [r for r in bench.measure(0, quiet)["rows"] if r["landscape"] == "nas-bench-bert"]
    ranks = {row["sampler"]: row["mean"][-1] for row in rows}
    assert ranks["largest_first"] <= 3
    assert ranks["auto"] < 21


def test_wrong_settings_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        SamplerBench(["autos"], nk=[[8, 6, 8]])
    assert len(caught.value.mistakes) == 2
    with pytest.raises(InputError, match="nas_bench_bert"):
        SamplerBench(["random"], nk=[], nas_bench_bert=str(tmp_path / "none.json"), seeds=1).measure(0, quiet)
