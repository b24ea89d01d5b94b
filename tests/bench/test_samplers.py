"""The bench of samplers: landscapes with known answers, and tables anyone can reproduce."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.bench.landscapes import NK, Recorded, nas_bench_bert
from nas.bench.pool import Pool
from nas.bench.samplers import SamplerBench, reach
from nas.bench.searchers import MAKERS, LargestFirst
from nas.errors import InputError
from nas.search.samplers.encoding import Encoding


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
    bench = SamplerBench(
        ["random", "tpe", "largest_first"], nk=[[3, 3, 1]], trained=[], evaluations=12, seeds=2
    )
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
    for row, other in zip(bench.measure(0, quiet)["rows"], results["rows"], strict=True):
        assert {**row, "ms": 0} == {**other, "ms": 0}


def test_nas_bench_bert(shared: Path) -> None:
    path = shared / "data" / "nas_bench_bert.json"
    assert len(nas_bench_bert(path, None).rows) == 500
    cell = nas_bench_bert(path, (128, 2))
    assert {(row["hidden"], row["layers"]) for row in cell.rows} == {(128, 2)}
    bench = SamplerBench(
        ["largest_first"], nk=[], trained=[], nas_bench_bert=str(path), evaluations=20, seeds=2
    )
    rows = [r for r in bench.measure(0, quiet)["rows"] if r["landscape"] == "nas-bench-bert"]
    ranks = {row["sampler"]: row["mean"][-1] for row in rows}
    assert ranks["largest_first"] <= 3
    assert 2 < ranks["random"] < 60  # 23.3 on average


def test_wrong_settings_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        SamplerBench(["autos"], nk=[[8, 6, 8]], trained=["table_grammars"])
    assert len(caught.value.mistakes) == 3
    with pytest.raises(InputError, match="nas_bench_bert"):
        SamplerBench(
            ["random"], nk=[], trained=[], nas_bench_bert=str(tmp_path / "none.json"), seeds=1
        ).measure(0, quiet)


def test_a_pool_gives_only_its_rows_and_random_ones_evenly() -> None:
    land = table()
    land.rows.pop()
    pool = Pool(land)
    encoding = Encoding(dict(pool.distributions), pool)
    rng = np.random.default_rng(0)
    rows = [tuple(sorted(encoding.decode(row).items())) for row in encoding.random(rng, 2000)]
    counts = {row: rows.count(row) for row in set(rows)}
    assert set(counts) == {tuple(sorted(row.items())) for row in land.rows}
    assert min(counts.values()) > 300
    for row in encoding.neighbours(encoding.encode({"a": 2, "b": "x"}), rng):
        assert pool.allowed(encoding.decode(row))
    assert not pool.allowed({"a": 2, "b": "y"})


def test_a_pool_in_which_a_parameter_has_one_value_only_is_searched_all_the_same() -> None:
    rows: list[dict[str, Any]] = [{"size": 128, "a": a, "b": b} for a in range(6) for b in range(6)]
    rows = [row for row in rows if (row["a"] + row["b"]) % 3]
    land = Recorded("cell", rows, [float(row["a"] == 4) + row["b"] / 9 for row in rows], [1.0] * len(rows))
    pool = Pool(land)
    assert pool.allowed({"a": 1, "b": 0})
    assert not pool.allowed({"a": 1, "b": 2})
    searcher, asked = MAKERS["auto_pool"](land, 0), set[int]()
    for _ in range(18):
        params = searcher.ask()
        number, row = land.nearest(params, asked)
        assert row == params
        asked.add(number)
        searcher.tell(params, land.value(number))
    assert land.score(max(land.value(number) for number in asked)) == 1
