"""The README's script for SLURM on a real cluster of one node: tasks that start again lose nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.search.storages import slurm
from tests.search.storages.test_joining import trials, until

pytestmark = [pytest.mark.slurm, pytest.mark.postgres, pytest.mark.slow]
README = Path(__file__).resolve().parents[3] / "nas" / "search" / "README.md"
TRIALS = 4


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[slurm.Cluster]:
    missing = [name for name in slurm.PROGRAMS if slurm.program(name) is None]
    if missing:
        pytest.skip(f"SLURM is not installed: {', '.join(missing)} not found")
    made = slurm.Cluster(tmp_path)
    yield made
    made.stop()


def script(url: str, *more: str) -> str:
    """Return the README's script, for a small study on another server."""
    found = re.search(r"```bash\n(#!.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    text = found[1]
    for old, new in (("n_trials=500", " ".join(more)), ("postgresql://me@host/db", url)):
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def test_an_array_whose_tasks_stop_and_start_again(
    server: Any, lab: Any, cluster: slurm.Cluster, tmp_path: Path
) -> None:
    study = [lab.sweep("array", {"seed": list(range(TRIALS))}), "study=array", f"n_trials={TRIALS}"]
    cache = lab.paths[1]
    size = ["sampler=grid", "rungs=null", "encoder.hidden_cls=[attn,conv]", "trainer.steps=150"]
    tiny = [setting for setting in lab.overrides() if not setting.startswith("paths.")]
    job = tmp_path / "job.sh"
    job.write_text(script(server.url, *tiny, *study, *size, cache))
    path = f"{Path(sys.executable).parent}:{cluster.environment['PATH']}"
    where = ("--chdir", str(tmp_path), "--output", str(tmp_path / "%a.log"))
    array = cluster.run("sbatch", "--parsable", "--array=0-1", *where, str(job), PATH=path)

    def training() -> bool:
        folders = [(tmp_path / "outputs" / task).glob("array/trials/*/metrics.jsonl") for task in "01"]
        return all(any(files) for files in folders)

    until(training)
    cluster.run("scancel", "--signal=USR1", "--batch", f"{array}_0")  # as before the time limit
    cluster.run("scontrol", "requeue", f"{array}_1")  # as preemption does: SIGTERM to every process
    until(lambda: not cluster.run("squeue", "-h"), 500)

    logs = [(tmp_path / f"{task}.log").read_text() for task in "01"]
    for number, log in enumerate(logs):
        told = cluster.run("scontrol", "show", "job", f"{array}_{number}")
        assert "JobState=COMPLETED" in told, log
        assert "Restarts=1" in told, log
        assert "stopping: saving the trials in hand" in log
        assert "its worker" not in log
    assert re.search(r"continuing .* from step", "".join(logs))
    found = trials(server, "array", tmp_path)
    assert [t.state.name for t in found] == ["COMPLETE"] * TRIALS
    assert sorted(t.params["seed"] for t in found) == list(range(TRIALS))
    boards = {(tmp_path / "outputs" / task / "array" / "leaderboard.json").read_text() for task in "01"}
    assert len(boards) == 1
