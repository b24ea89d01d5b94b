"""Features of configurations: one-hot slots, numbers in their range, counts and costs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nas.search.features import Features
from nas.search.spaces.space import Space

KEY = "encoder.hidden_cls"
SPACE: dict[str, Any] = {
    KEY: {"slots": {"low": 1, "high": 2}, "choices": ["a", {"span": ["a", "b"], "repeat": 3}]},
    "encoder.blocks.b.ratio": [1, 2],
    "optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True},
}
SPAN = '{"span": ["a", "b"], "repeat": 3}'


def test_every_feature_says_what_it_is() -> None:
    features = Features(Space(SPACE), lambda changes: {"cost/parameters": 10.0 * len(changes[KEY])})
    found = features.rows(
        [
            {f"{KEY}.length": 1, f"{KEY}.0": "a", "optimizer.lr": 1e-3},
            {
                f"{KEY}.length": 2,
                f"{KEY}.0": "a",
                f"{KEY}.1": SPAN,
                "encoder.blocks.b.ratio": 2,
                "optimizer.lr": 1e-2,
            },
        ]
    )
    assert found.shape == (2, len(features.names))
    first, second = (dict(zip(features.names, np.round(row, 6).tolist(), strict=True)) for row in found)
    assert {name for name, value in first.items() if value} == {
        f"{KEY}.0=a", "optimizer.lr", f"{KEY}#", f"{KEY}#a", "cost/parameters",
    }  # fmt: skip
    assert (first["optimizer.lr"], first[f"{KEY}#"]) == (0.5, 1.0)
    assert (second[f"{KEY}.length"], second[f"{KEY}.1={SPAN}"], second["encoder.blocks.b.ratio=2"]) == (
        1,
        1,
        1,
    )
    assert (second[f"{KEY}#"], second[f"{KEY}#a"], second[f"{KEY}#b"]) == (7.0, 4.0, 3.0)
    assert second["cost/parameters"] == round(math.log1p(20.0), 6)


def test_without_configurations_there_are_no_rows() -> None:
    features = Features(Space(SPACE))
    assert features.rows([]).shape == (0, len(features.names))
