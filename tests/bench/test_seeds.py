"""The bench that compares two samplers on many seeds: who wins, and that it continues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nas.bench.seeds import SeedsBench, won
from nas.errors import InputError


def quiet(line: str) -> None:
    """Ignore progress."""


def side(value: float, mean: float) -> dict[str, Any]:
    return {"value": value, "mean": mean, "architecture": "mha-mlp"}


def test_it_tells_on_how_many_seeds_the_first_wins() -> None:
    rows = [
        {"seed": 0, "auto": side(2.0, 2.1), "random": side(2.2, 2.0)},
        {"seed": 1, "auto": side(2.0, 2.0), "random": side(2.1, 2.2)},
    ]
    told = won(rows, "auto", "random", "value", "the search's best loss")
    assert "beats random on 2 of 2 seeds; its loss is lower by 0.1500 [" in told
    table, first, second = SeedsBench("out", "cache").tables(
        {"rows": rows, "samplers": ["auto", "random"], "trials": 24}
    )
    assert not isinstance(table, str)
    assert table.row_count == 2
    assert first == told
    assert "trained anew, auto beats random on 1 of 2" in str(second)


def test_wrong_settings_are_told() -> None:
    with pytest.raises(InputError, match="must be two"):
        SeedsBench("out", "cache", samplers=["auto", "auto"])
    with pytest.raises(InputError, match="seeds"):
        SeedsBench("out", "cache", seeds=0)


@pytest.mark.slow  # whole searches
def test_finished_searches_are_kept(tmp_path: Path) -> None:
    tiny = [
        "task=mqar", "objective=val/loss", "direction=minimize", "task.seq_length=16",
        "task.validation_examples=64", "encoder.hidden_size=16", "encoder.num_heads=2",
        "trainer.batch_size=8", "trainer.steps=2", "trainer.evaluate_at=[1.0]",
    ]  # fmt: skip
    bench = SeedsBench(
        str(tmp_path), str(tmp_path / "cache"), seeds=1, trials=3, retrained=1, overrides=tiny,
        record=str(tmp_path / "answers" / "seeds.json"),
    )  # fmt: skip
    results = bench.measure(0, quiet)
    [row] = results["rows"]
    for sampler in ("auto", "random"):
        assert row[sampler]["overrides"]
        assert [row[sampler]["mean"]] == row[sampler]["values"] != [row[sampler]["value"]]
    assert bench.measure(0, quiet) == results
    assert (tmp_path / "answers" / "seeds.json").is_file()
