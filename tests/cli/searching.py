"""A tiny search as a process: started, watched, killed, and what it must have left."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nas.cli.app import run_command
from nas.cli.search import search
from nas.config.build import build
from nas.files import read_json

COMMANDS = Path(sys.executable).parent
TINY = (
    "task=mqar", "task.seq_length=16", "task.validation_examples=64", "encoder.hidden_size=16",
    "encoder.num_heads=2", "trainer.batch_size=8", "tracker=none", "encoder.hidden_cls=[attn,conv]",
)  # fmt: skip
SPACE = {"encoder.hidden_cls": {"slots": 2, "choices": ["attn", "conv", "mlp"]},
         "optimizer.lr": {"low": 1e-3, "high": 1e-2, "log": True}}  # fmt: skip
LONG = ("trainer.steps=200", "trainer.checkpoint_seconds=0.2", "rungs=null", "workers=2", "sampler=random")


def command(folder: Path, *more: str) -> list[str]:
    """Return a search called ``s`` in ``folder``."""
    path = folder / "s.yaml"
    if not path.is_file():
        path.write_text(json.dumps({"space": SPACE}))
    paths = (f"paths.outputs={folder / 'outputs'}", f"paths.cache={folder / 'cache'}")
    return [str(COMMANDS / "nas-search"), f"sweep={path}", *TINY, *paths, *more]


@contextlib.contextmanager
def started(arguments: list[str], **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a command; whatever is left of it is gone at the end."""
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **more
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finish(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120)


def run_here(arguments: list[str]) -> int:
    """Search in this process, which has imported everything: seconds are saved; return the exit code."""
    return run_command("search", search, arguments[1:])


def rows(folder: Path) -> dict[int, dict[str, Any]]:
    """Return the leaderboard's rows by number; none yet: none."""
    path = folder / "outputs" / "s" / "leaderboard.json"
    return {row["number"]: row for row in read_json(path)} if path.is_file() else {}


def ended(folder: Path) -> dict[int, dict[str, Any]]:
    return {n: row for n, row in rows(folder).items() if row["state"] not in ("RUNNING", "WAITING", "PAUSED")}


def wait_until(condition: Any, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def descendants(pid: int) -> list[int]:
    """Return the processes below ``pid`` that have not ended."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(stat.parent.name)] = int(parent)
    found, below = [], {pid}
    while below:
        below = {child for child, parent in parents.items() if parent in below}
        found.extend(below)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def check_complete(folder: Path, n_trials: int) -> None:
    """Exactly the trials that were asked for, each with the value that it has when trained alone."""
    table = rows(folder)
    assert sorted(table) == list(range(n_trials))
    assert {row["state"] for row in table.values()} == {"COMPLETE"}
    for row in table.values():
        assert not (folder / "outputs" / "s" / "trials" / str(row["number"]) / "error.txt").exists()


def check_value(folder: Path, row: dict[str, Any]) -> None:
    alone = [
        *row["overrides"],
        "tracker=none",
        f"paths.outputs={folder / 'alone'}",
        f"paths.cache={folder / 'c'}",
    ]
    assert build(alone).train(report=lambda _: None).metrics["val/loss"] == row["value"]


def kill_and_check(arguments: list[str], moment: Any, patience: float = 20.0) -> None:
    """Start a search, SIGKILL its supervisor at ``moment``, and see its workers end."""
    with started(arguments) as process:
        moment(process)
        below = descendants(process.pid)
        process.kill()
        process.wait()
        time.sleep(0.1)
        wait_until(lambda: not any(map(alive, below)), seconds=patience)
        assert "Traceback" not in process.communicate()[1]


def trainers(pid: int, number: int) -> list[int]:
    """Return the workers of a search that hold the lock of a trial."""
    found = []
    for child in descendants(pid):
        with contextlib.suppress(OSError):
            links = [str(link.readlink()) for link in Path(f"/proc/{child}/fd").iterdir()]
            if any(link.endswith(f"/trials/{number}/.lock") for link in links):
                found.append(child)
    return found
