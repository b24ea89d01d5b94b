"""Small real runs: in this process, and as processes that can be killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.config.build import Run

TINY = [
    "tracker=none",
    "encoder=hybrid",
    "encoder.hidden_cls=[attn,ffn]",
    "encoder.hidden_size=16",
    "encoder.num_heads=2",
    "encoder.blocks.attn.dropout=0.1",  # so that the random state matters
    "encoder.blocks.ffn.dropout=0.1",
    "task=mqar",
    "task.vocab_size=16",
    "task.seq_length=16",
    "task.num_pairs=2",
    "task.validation_examples=64",
    "trainer.steps=30",
    "trainer.batch_size=8",
    "trainer.precision=fp32",
    "trainer.log_every=2",
]
Make = Callable[..., Run]


def overrides(outputs: Path, *more: str) -> list[str]:
    another_task = any(line.startswith("task=") for line in more)
    base = [line for line in TINY if not (another_task and line.startswith("task"))]
    return [*base, f"paths.outputs={outputs}", f"paths.cache={outputs}/cache", *more]


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Return what a run measured, without how long it took."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [{k: v for k, v in row.items() if k not in ("seconds", "tokens_per_second")} for row in rows]


def result_of(folder: Path) -> dict[str, Any]:
    """Return what a run ended with, without how long it took."""
    result = json.loads((folder / "result.json").read_text())
    return {k: v for k, v in result.items() if k not in ("seconds", "tokens_per_second")}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Build the tiny run, with further overrides."""

    def build(*more: str, outputs: Path = tmp_path / "outputs") -> Run:
        return nas.build(overrides(outputs, *more))

    return build


class Process:
    """One ``nas-train`` in a process of its own."""

    def __init__(
        self,
        server: Server,
        outputs: Path,
        more: tuple[str, ...],
        limit: int | None,
        environment: dict[str, str],
    ) -> None:
        self.server = server
        self.outputs = outputs
        self.log = outputs.with_suffix(f".{time.monotonic_ns()}.log")
        asked = {"argv": overrides(outputs, *more), "log": str(self.log), "limit": limit}
        asked["environment"] = environment
        self.pid = int(server.ask(asked))

    @property
    def folder(self) -> Path:
        return next((self.outputs / "train").iterdir())

    @property
    def said(self) -> str:
        return self.log.read_text()

    def until_rows(self, count: int) -> Process:
        """Wait until so many rows are in the metrics file."""

        def there() -> bool:
            files = list(self.outputs.glob("train/*/metrics.jsonl"))
            return bool(files) and files[0].read_text().count("\n") >= count

        return self.until(there)

    def until(self, there: Callable[[], bool]) -> Process:
        deadline = time.monotonic() + 30
        while not there():
            assert time.monotonic() < deadline, self.said
            time.sleep(0.002)
        return self

    def kill(self, number: int = signal.SIGKILL) -> Process:
        os.kill(self.pid, number)
        return self

    def wait(self) -> int:
        return int(self.server.ask({"wait": self.pid}))


class Server:
    """Starts runs as forks of a process that has imported everything: seconds are saved for each."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("warm_server.py")
        self._server = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TORCH_CPP_LOG_LEVEL": "ERROR"},  # as `nas.cli.app` has it under torchrun
        )

    def ask(self, request: dict[str, Any]) -> str:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return self._server.stdout.readline()

    def __call__(self, outputs: Path, *more: str, limit: int | None = None, **environment: str) -> Process:
        outputs.parent.mkdir(parents=True, exist_ok=True)
        return Process(self, outputs, more, limit, environment)

    def several(self, count: int, outputs: Path, *more: str, limit: int | None = None) -> list[Process]:
        """Start processes that train one run together, with the variables that torchrun sets."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        ranks = [str(rank) for rank in range(count)]
        return [self(outputs, *more, limit=limit, RANK=r, LOCAL_RANK=r, **shared) for r in ranks]

    def close(self) -> None:
        self._server.communicate()


@pytest.fixture(scope="session")
def start() -> Iterator[Server]:
    """Start ``nas-train`` with tiny overrides: ``start(outputs, *more)``."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def finished(make: Make) -> Path:
    """The folder of a finished tiny run."""
    run = make()
    run.train(report=lambda line: None)
    return run.folder


@pytest.fixture(scope="session")
def read() -> tuple[Callable[[Path], Any], Callable[[Path], Any]]:
    """What of a run folder has to be the same in a repetition: its rows and its result."""
    return rows_of, result_of


@pytest.fixture(scope="session")
def arguments() -> Callable[..., list[str]]:
    """The overrides of the tiny run: ``arguments(outputs, *more)``."""
    return overrides
