"""What forecasts learn from: the curves of trials that reported at all rungs in question, the latest."""

from __future__ import annotations

import numpy as np
import pytest

from nas.search.rungs import finished
from nas.search.rungs.finished import Finished


def test_who_lacks_a_rung_is_left_out_there_alone() -> None:
    made = Finished([25, 50], 2)
    made.add({25: (4.0, 1.0), 50: (3.0, 1.0), 60: (9.0, 9.0)}, (2.0, 1.0))
    made.add({50: (5.0, 7.0)}, (4.0, 7.0))
    curves, ends = made.at([50], 0)
    assert (curves.tolist(), ends.tolist()) == ([[3.0], [5.0]], [2.0, 4.0])
    curves, ends = made.at([25, 50], 1)
    assert (curves.tolist(), ends.tolist()) == ([[1.0, 1.0]], [1.0])


def test_the_latest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished, "LEARNED", 3)
    made = Finished([25, 50], 1)
    assert made.at([25], 0)[0].shape == (0, 1)
    for number in range(5):
        made.add({25: (10.0 + number,), **({50: (20.0,)} if number < 2 else {})}, (float(number),))
    curves, ends = made.at([25], 0)
    assert sorted(zip(curves[:, 0], ends, strict=True)) == [(12.0, 2.0), (13.0, 3.0), (14.0, 4.0)]
    assert made.at([50], 0)[0].shape == (0, 1)  # what an older trial had reported there is gone
    assert np.isfinite(curves).all()
