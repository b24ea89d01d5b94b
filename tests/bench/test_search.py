"""The bench of whole searches: sides that take turns, what they found when, and the script itself."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest

from nas.bench.rival_data import write_arrays
from nas.bench.search import OURS, SCRIPT, SearchBench
from nas.bench.search_outcome import Found, best, found_by, per_hour, reached, sooner
from nas.bench.turns import Side, processor_times, take_turns
from nas.config.build import build
from nas.config.instantiate import instantiate_node
from nas.errors import InputError, NasError
from nas.search.leaderboard import REFUSED, RESULT
from nas.tasks.mlm import MaskedLanguageModelling

BURN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass"


def quiet(line: str) -> None:
    """Ignore progress."""


def found(began: float, *completed: tuple[float, float]) -> Found:
    """Return what a side found at (seconds, loss); its processor time is half of them."""
    return {
        "wall": 100.0,
        "cpu": 50.0,
        "began": {"wall": began, "cpu": began / 2},
        "candidates": 2 * len(completed),
        "completed": [{"wall": wall, "cpu": wall / 2, "loss": loss} for wall, loss in completed],
        "evaluated": [
            {"wall": wall * share, "cpu": wall * share / 2, "loss": loss + 1 - share}
            for wall, loss in completed
            for share in (0.5, 1.0)
        ],
    }


def test_what_counts_is_when_we_reach_what_the_rival_ends_with() -> None:
    ours, rival = found(4.0, (10.0, 3.0), (14.0, 2.0)), found(10.0, (40.0, 2.5), (90.0, 2.2), (95.0, 2.4))
    assert best(rival) == 2.2
    assert (best(rival, until=50.0), best(rival, until=5.0)) == (2.5, None)
    assert reached(ours, best(rival)) == 14.0
    assert reached(ours, 1.9) is None
    assert sooner(ours, rival) == pytest.approx(90 / 14)
    assert sooner(ours, rival, "cpu") == pytest.approx(90 / 14)
    assert sooner(ours, rival, imports=False) == pytest.approx(80 / 10)
    assert sooner(rival, ours) is None
    assert sooner(ours, rival, of="evaluated") == pytest.approx(90 / 14)  # halfway it was at 2.5
    assert per_hour(ours) == 144


def test_only_trained_trials_are_candidates() -> None:
    study = optuna.create_study()
    moments = {
        "datetime_start": datetime.fromtimestamp(1000),
        "datetime_complete": datetime.fromtimestamp(1020),
    }
    known: list[tuple[str, float | None, dict[str, Any]]] = [
        ("COMPLETE", 2.0, {}),
        ("COMPLETE", 2.0, {RESULT: {"seconds": 5.0}}),
        ("COMPLETE", 2.0, {RESULT: {"seconds": 0.0}}),  # answered from an equal one
        ("PRUNED", None, {RESULT: {"seconds": 2.0}}),
        ("PRUNED", None, {REFUSED: "too large"}),
        ("FAIL", None, {}),
    ]
    for state, value, attributes in known:
        trial = optuna.trial.create_trial(
            state=optuna.trial.TrialState[state], value=value, user_attrs=attributes
        )
        trial.datetime_start, trial.datetime_complete = moments.values()
        study.add_trial(trial)
    side: Any = SimpleNamespace(wall=30.0, cpu=15.0, wall_at=lambda t: t - 990, cpu_at=lambda t: t / 100)
    told = found_by(study.get_trials(), side, [(1015, 3.0)])
    assert told["candidates"] == 3
    assert told["evaluated"] == [{"loss": 3.0, "wall": 25.0, "cpu": 10.15}, *told["completed"]]
    assert told["completed"] == [{"loss": 2.0, "wall": 30.0, "cpu": 10.2}] * 2
    assert told["began"] == {"wall": 10.0, "cpu": 10.0}


def test_the_table_tells_the_medians_of_seeds() -> None:
    bench = SearchBench("outputs", "cache")
    rows = [
        {"seed": s, OURS: found(4.0, (10.0, 3.0), (14.0 + s, 2.0)), SCRIPT: found(10.0, (80.0, 2.5))}
        for s in range(3)
    ]
    *tables, first, any_evaluation, _, _, _, _, last = bench.tables({"rows": rows})
    assert [table.row_count for table in tables] == [3, 2, 2]
    assert "5.3 (5.0 to 5.7) times sooner" in str(first)
    assert "on both sides: 10.7 (10.0 to 11.4)" in str(any_evaluation)
    assert last == "seconds to the first trial: nas-search 4.0 (4.0 to 4.0), script 10.0 (10.0 to 10.0)"
    nothing = [{"seed": 0, OURS: found(4.0), SCRIPT: found(10.0)}]
    assert "not reached" in str(bench.tables({"rows": nothing})[-1])


def test_the_script_gets_our_rows_and_what_is_hidden_in_them(tmp_path: Path) -> None:
    task = build(["task=mlm", "task.seq_length=16", "task.validation_tokens=256", *text(tmp_path)]).task
    assert isinstance(task, MaskedLanguageModelling)
    write_arrays(task, tmp_path / "cache", tmp_path / "data.npz", quiet)
    data = np.load(tmp_path / "data.npz")
    [batch] = task.batches("val", 64)
    labels = data["validation_labels"]
    assert data["validation_ids"].shape == labels.shape == (16, 16)
    assert set((labels >= 0).sum(axis=1)) == {task.masked_per_row}
    assert labels[labels >= 0].tolist() == batch.labels.tolist()
    assert set(data["validation_ids"][labels >= 0]) == {int(data["mask_id"])}
    with pytest.raises(InputError, match="mlm"):
        write_arrays(build(["task=mqar"]).task, tmp_path, tmp_path / "other.npz", quiet)


def test_wrong_settings_are_told() -> None:
    with pytest.raises(InputError) as caught:
        SearchBench("outputs", "cache", seconds=0, workers=0)
    assert len(caught.value.mistakes) == 2


@pytest.mark.slow  # processes
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_sides_take_turns_and_each_has_its_budget(tmp_path: Path) -> None:
    burn = [sys.executable, "-S", "-c", BURN.format(60)]
    forking = [sys.executable, "-S", "-c", f"import subprocess, sys; subprocess.run({burn!r})"]
    sides = {"a": Side(burn, tmp_path / "a"), "b": Side(forking, tmp_path / "b")}
    take_turns(sides, seconds=0.6, turn=0.2)
    for side in sides.values():
        assert 0.6 <= side.cpu < 1.5
        assert side.cpu <= side.wall + 0.3
        assert side.wall_at(side._times[-1]) == pytest.approx(side.wall)
        assert side._process is not None
        wait_for(lambda group=side._process.pid: not processor_times(group))
    others = [sides["b"].wall_at(t) for t in sides["a"]._times[1:]]
    assert others[-1] > 0  # a's last turn came after b's first


@pytest.mark.slow
def test_a_side_that_fails_is_told(tmp_path: Path) -> None:
    sides = {
        "broken": Side([sys.executable, "-S", "-c", "raise SystemExit('no such file')"], tmp_path / "log")
    }
    with pytest.raises(NasError, match="broken ended with exit code 1: no such file"):
        take_turns(sides, seconds=5.0, turn=1.0)


@pytest.mark.slow  # imports PyTorch and transformers in processes of their own
def test_both_sides_search_the_same_text(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    small = ["task.seq_length=16", "task.validation_tokens=512", "trainer.batch_size=8", "trainer.steps=4"]
    node = {
        "_target_": "nas.bench.search.SearchBench", "outputs": str(tmp_path), "cache": str(tmp_path),
        "seconds": 120.0, "seeds": 1, "trials": 2, "turn": 2.0, "overrides": [*small, *text(tmp_path)],
    }  # fmt: skip
    bench = instantiate_node("bench", node)
    results = bench.measure(0, quiet)
    [row] = results["rows"]
    for side in (OURS, SCRIPT):
        assert row[side]["candidates"] == 2
        assert row[side]["completed"]
        assert len(row[side]["evaluated"]) > len(row[side]["completed"])
        assert row[side]["evaluated"][0]["wall"] <= row[side]["completed"][0]["wall"]
        assert 0 < row[side]["began"]["wall"] < row[side]["completed"][0]["wall"] <= row[side]["wall"]
        assert 0 < (best(row[side]) or 0) < np.log(259) + 1
    assert json.loads(json.dumps(results)) == results
    assert bench.tables(results)
    assert not list(tmp_path.glob("search-*"))


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until init has buried what was killed."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def text(folder: Path) -> list[str]:
    """Return overrides for a corpus of words in a folder."""
    words = np.random.default_rng(0).choice(["one", "two", "three", "four"], 4000)
    (folder / "words.txt").write_text(" ".join(words))
    return ["corpus=text", f"corpus.path={folder / 'words.txt'}"]
