from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.report.compare import compare
from nas.report.found import Study
from nas.report.read import read_study
from nas.report.words import findings


def study(folder: Path, *trials: tuple[float, int | None], direction: str = "minimize") -> Study:
    rows = [
        {"number": i, "state": "COMPLETE", "value": value, "parameters": size, "flops": size and 2 * size}
        for i, (value, size) in enumerate(trials)
    ]
    (folder / "leaderboard.json").write_text(json.dumps(rows))
    (folder / "study.json").write_text(json.dumps({"objective": "val/loss", "direction": direction}))
    return read_study(folder)


def test_gains_are_told_from_the_winner_s_side(tmp_path: Path) -> None:
    found = compare(study(tmp_path, (3.0, 100), (3.4, 50), (3.2, 105), (3.6, 400), (3.5, 60)))
    assert found is not None
    assert found.winner.number == 0
    assert found.median == pytest.approx(3.4)
    assert found.gain == pytest.approx(0.4)
    assert found.part == pytest.approx(0.4 / 3.4)
    assert found.in_spreads == pytest.approx(0.4 / 0.3)
    median, similar, largest = map(found.find, ("median trial", "best of similar size", "largest"))
    assert (median.trial.number, median.parameters, median.flops) == (1, 2.0, 2.0)
    assert (similar.trial.number, found.similar_count) == (2, 1)
    assert (largest.trial.number, largest.gain) == (3, pytest.approx(0.6))


def test_a_higher_value_may_be_the_better_one(tmp_path: Path) -> None:
    found = compare(study(tmp_path, (0.5, 100), (0.7, 100), (0.6, 100), direction="maximize"))
    assert found.winner.number == 1
    assert found.gain == pytest.approx(0.1)
    assert all(row.gain >= 0 for row in found.against)


def test_size_correlation_says_whether_larger_was_better(tmp_path: Path) -> None:
    larger_better = [(3.0 - 0.1 * i, 100 * (i + 1)) for i in range(8)]
    assert compare(study(tmp_path, *larger_better)).size_correlation == pytest.approx(1)
    assert compare(study(tmp_path, *[(-v, p) for v, p in larger_better])).size_correlation == pytest.approx(
        -1
    )
    assert compare(study(tmp_path, *larger_better[:7])).size_correlation is None
    assert compare(study(tmp_path, *[(v, 100) for v, _ in larger_better])).size_correlation is None


def test_one_trial_or_none_is_compared_with_nothing(tmp_path: Path) -> None:
    assert compare(study(tmp_path)) is None
    told = study(tmp_path, (3.0, None))
    found = compare(told)
    assert found.against == ()
    assert "nothing to compare" in findings(told, found)[0]


def test_sizes_that_are_not_known_leave_the_rest(tmp_path: Path) -> None:
    told = study(tmp_path, (0.0, None), (0.0, None), (0.0, 10), (0.0, 0))
    found = compare(told)
    assert found.part is None
    assert found.in_spreads is None
    assert findings(told, found)


def test_the_sentences_do_not_flatter(tmp_path: Path) -> None:
    largest_wins = study(tmp_path, (3.0, 400), (3.4, 50), (3.2, 100))
    text = " ".join(findings(largest_wins, compare(largest_wins)))
    assert "also the largest trained model" in text
    assert "No other trained trial is of similar size" in text
    assert "one seed" in text
    assert "No significance is claimed" in text
    other = study(tmp_path, (3.0, 100), (3.4, 50), (3.2, 105), (3.1, 95), (3.6, 400))
    text = " ".join(findings(other, compare(other)))
    assert "The largest trained model (trial 4, 400 parameters) scored 3.6000" in text
    assert "Among 2 other trials of similar size" in text
