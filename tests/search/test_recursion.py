"""Recursion is searchable: which slots loop, how often, and over which blocks."""

from __future__ import annotations

from typing import Any

import pytest

from nas.config.build import build

SPACE = {
    "encoder.hidden_cls": {"slots": 2, "choices": ["loop", "ffn"]},
    "encoder.blocks.loop.n": {"low": 1, "high": 4},
    "encoder.blocks.loop.injection": ["add", "gate"],
}


@pytest.mark.slow  # a whole search
def test_a_search_over_loops(lab: Any) -> None:
    sweep = lab.sweep("loops", SPACE)
    assert lab.search(sweep, "workers=1", "sampler=random", "n_trials=4", "trainer.steps=2") == 0
    rows = lab.rows("loops")
    assert len(rows) == 4
    for row in rows:
        chosen = dict(text.split("=", 1) for text in row["overrides"] if "@" not in text)
        n = chosen.get("encoder.blocks.loop.n")  # asked for only where there is a loop
        assert ("loop" in chosen["encoder.hidden_cls"]) == (n is not None)
        assert n is None or f"loop{n}(mha,mlp)" in row["architecture"]
        built = build(row["overrides"]).encoder
        assert sum(p.numel() for p in built.parameters()) == row["parameters"]
    assert any("loop" in row["architecture"] for row in rows)
