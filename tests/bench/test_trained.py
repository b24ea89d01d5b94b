"""Tables of our own: what is shipped, and how a finished study becomes one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.bench.samplers import SamplerBench
from nas.bench.trained import landscape, packaged, record
from nas.cli.app import run_command
from nas.cli.search import search
from nas.errors import InputError
from nas.files import read_json, write_json


def quiet(line: str) -> None:
    """Ignore progress."""


def test_the_shipped_tables_are_whole_and_order_lists_differently() -> None:
    tables = packaged()
    assert len(tables) == 3
    ranks = {}
    for name, table in tables.items():
        assert table["study"] == name
        assert len(table["rows"]) == 343 == len({tuple(values) for values, _, _ in table["rows"]})
        values = np.array([seeds for _, _, seeds in table["rows"]])
        count = 2 if name == "table_text" else 3
        assert values.shape == (343, count, len(table["rungs"]))
        noise = values[:, :, -1].var(axis=1, ddof=1).mean() / count
        assert noise < 0.25 * values[:, :, -1].mean(axis=1).var()  # of the mean over seeds
        ranks[name] = np.argsort(np.argsort(values[:, :, -1].mean(axis=1)))
    for other in ("table_grammar", "table_text"):  # these two agree: 0.90
        assert np.corrcoef(ranks["table_recall"], ranks[other])[0, 1] < 0.2


def test_a_table_is_a_landscape_whose_best_has_the_lowest_loss() -> None:
    for table in packaged().values():
        land = landscape(table)
        assert len(land.rows) == 343
        assert land.score(float(land.values.max())) == 1
        best = int(land.values.argmax())
        assert np.mean([seed[-1] for seed in table["rows"][best][2]]) == pytest.approx(-land.value(best))


def test_it_is_replayed_and_auto_is_ahead_of_random() -> None:
    bench = SamplerBench(["auto", "random"], nk=[], trained=["table_grammar"], evaluations=30, seeds=2)
    results = {row["sampler"]: row for row in bench.measure(0, quiet)["rows"]}
    assert results["auto"]["mean"][-1] < results["random"]["mean"][-1]


@pytest.mark.slow  # a whole search
def test_a_finished_study_becomes_a_table(tmp_path: Path) -> None:
    sweep = tmp_path / "small.yaml"
    write_json(
        sweep,
        {
            "space": {"encoder.hidden_cls": {"slots": 2, "choices": ["attn", "conv"]}, "seed": [0, 1]},
            "n_trials": 8,
            "rungs": None,
        },
    )
    arguments = [
        f"sweep={sweep}", "sampler=grid", "tracker=none", "task=mqar", "task.seq_length=16",
        "encoder.hidden_size=16", "encoder.num_heads=2", "trainer.steps=8", "trainer.batch_size=8",
        f"paths.outputs={tmp_path}", f"paths.cache={tmp_path / 'cache'}",
    ]  # fmt: skip
    assert run_command("search", search, arguments) == 0
    table = read_json(record(tmp_path / "small", tmp_path / "tables"))
    assert len(table["rows"]) == 4
    known = {row["architecture"]: row["value"] for row in read_json(tmp_path / "small" / "leaderboard.json")}
    assert any(seed[-1] == pytest.approx(known["conv-mha"], abs=1e-4) for seed in table["rows"][2][2])
    lacking = read_json(tmp_path / "small" / "leaderboard.json")[:-1]
    write_json(tmp_path / "small" / "leaderboard.json", lacking)
    with pytest.raises(InputError, match="1 configurations are not trained to the end"):
        record(tmp_path / "small", tmp_path / "tables")


def test_what_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not the folder of a study"):
        record(tmp_path, tmp_path)
