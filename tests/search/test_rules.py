"""Whole searches whose sweeps say more than a space: a held cost, constraints, replicates, a new choice."""

from __future__ import annotations

from typing import Any

import pytest

from nas.config.build import build
from nas.files import read_json
from tests.search.test_run import RATE, by_number, decisive


@pytest.mark.slow  # a whole search
def test_a_space_with_everything_in_it(lab: Any) -> None:
    space = {
        "encoder.hidden_cls": {
            "slots": {"low": 1, "high": 3}, "tie": [False, True],
            "choices": ["attn", "conv", ["attn", "mlp"], {"span": ["attn", "mlp"], "repeat": 2}],
        },
        "encoder.blocks.attn.num_heads": [1, 2],
        "optimizer.lr": RATE,
    }  # fmt: skip
    rules = {
        "forbid": ["count(encoder.hidden_cls, 'conv') > 1"],
        "match": {"cost/parameters": 20_000, "tolerance": "10%"},
        "constraints": {"latency_ms": {"max": 100}},
        "replicates": 2,
        "baselines": 1,
        "n_trials": 10,
    }
    sweep = lab.sweep("everything", space, **rules)
    assert lab.search(sweep, "workers=2") == 0
    rows = lab.rows("everything")
    assert sorted(row["number"] for row in rows) == list(range(12))
    assert {row["state"] for row in rows} <= {"COMPLETE", "PRUNED", "PAUSED"}
    for row in rows:
        assert 18_000 <= row["parameters"] <= 22_000
        assert (row["architecture"] or "").count("conv") <= 1
    told = read_json(lab.outputs / "everything" / "study.json")
    assert told["baselines"].keys() == {"search", "random", "largest"}
    assert told["noise"]["runs"] >= 2
    assert len([line for line in told["remarks"] if "stay paused" not in line]) == 2
    assert "Best at equal budget: " in (lab.outputs / "everything" / "report.html").read_text()
    best = build([f"experiment={lab.outputs / 'everything' / 'best.yaml'}", *lab.paths]).config
    assert decisive(best) == decisive(build([*rows[0]["overrides"], *lab.paths]).config)


@pytest.mark.slow  # two whole searches
def test_a_study_that_gains_a_choice_goes_on(lab: Any) -> None:
    narrow = lab.sweep("gains", {"encoder.hidden_cls": {"slots": 1, "choices": ["attn", "conv"]}})
    assert lab.search(narrow, "n_trials=2", "rungs=null", "sampler=random") == 0
    before = by_number(lab.rows("gains"))
    wider = lab.sweep("gains", {"encoder.hidden_cls": {"slots": 1, "choices": ["attn", "mlp", "conv"]}})
    assert lab.search(wider, "n_trials=3", "rungs=null", "sampler=random") == 0
    after = by_number(lab.rows("gains"))
    assert {number: after[number] for number in before} == before
    assert {row["architecture"] for row in after.values()} == {"mha", "conv", "mlp"}


@pytest.mark.slow  # a search
def test_several_objectives_while_a_cost_is_held(lab: Any) -> None:
    sweep = lab.sweep("held", {"encoder.hidden_cls": {"slots": 2, "choices": ["attn", "conv", "mlp"]}})
    more = ("objective=[val/loss,cost/flops_per_token]", "match={cost/parameters: 20000, tolerance: 10%}",
            "n_trials=8", "workers=2")  # fmt: skip
    assert lab.search(sweep, *more) == 0
    rows = lab.rows("held")
    assert len(rows) == 8
    for row in rows:
        assert 18_000 <= row["parameters"] <= 22_000
        assert any(line.startswith("encoder.hidden_size=") for line in row["overrides"])
        assert row["state"] != "COMPLETE" or row["values"]["cost/flops_per_token"] == row["flops"]
    done = [row for row in rows if row["state"] == "COMPLETE"]
    points = {row["number"]: tuple(row["values"].values()) for row in done}
    best = {
        n for n, p in points.items()
        if not any(q != p and all(a <= b for a, b in zip(q, p, strict=True)) for q in points.values())
    }  # fmt: skip
    assert {row["number"] for row in rows if row["front"]} == best
    front = lab.outputs / "held" / "front"
    alone = [f"experiment={front / f'{min(best)}.yaml'}", "tracker=none", *lab.paths[1:]]
    again = build([*alone, f"paths.outputs={lab.folder / 'alone'}"])
    assert again.train(report=lambda _: None).metrics["val/loss"] == points[min(best)][0]
