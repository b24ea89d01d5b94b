"""The bench of zero-cost scores: lists of our tables, scored untrained."""

from __future__ import annotations

import pytest

from nas.bench.scores import Scores
from nas.errors import InputError
from nas.progress import silent


def test_wrong_settings_are_told() -> None:
    with pytest.raises(InputError) as caught:
        Scores(tables=["table_recal"], lists=2)
    assert len(caught.value.mistakes) == 2
    assert "did you mean 'table_recall'?" in caught.value.mistakes[0]


@pytest.mark.slow  # builds and scores 64 encoders
def test_every_score_is_compared_over_all_pairs_and_within_a_size() -> None:
    bench = Scores(tables=["table_recall"], lists=64, orders=1)
    results = bench.measure(0, silent)
    found = results["tables"]["table_recall"]
    assert found["lists"] == 64
    assert {"parameters", "jacobian_covariance"} <= found["scores"].keys()
    assert all(-1 <= told["every"]["value"] <= 1 for told in found["scores"].values())
    shown, told, correlations, replayed = bench.tables(results)
    assert correlations.row_count == 3 * 2  # kinds of features, lists known
    assert replayed.row_count == 5
    assert shown.row_count == len(found["scores"])
    assert "ms for building and scoring a list" in told
