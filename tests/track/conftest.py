"""Reading W&B's offline files back, and small runs to write them."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BLOCK = 32768
TINY = [
    "tracker=wandb",
    "encoder=hybrid",
    "encoder.hidden_cls=[attn,ffn,none]",
    "encoder.hidden_size=16",
    "encoder.num_heads=2",
    "task=mqar",
    "task.vocab_size=16",
    "task.seq_length=16",
    "task.num_pairs=2",
    "task.validation_examples=64",
    "trainer.steps=30",
    "trainer.batch_size=8",
    "trainer.precision=fp32",
]


def overrides(outputs: Path, *more: str) -> list[str]:
    return [*TINY, f"paths.outputs={outputs}", f"paths.cache={outputs}/cache", *more]


def chunks(data: bytes) -> Iterator[bytes]:
    """Yield the records of LevelDB's log format, in which W&B writes; stop where a kill cut it."""
    assert data[:4] == b":W&B"
    position, part = 7, b""
    while position + 7 <= len(data):
        if BLOCK - position % BLOCK < 7:
            position += BLOCK - position % BLOCK
            continue
        _, size, kind = struct.unpack("<IHB", data[position : position + 7])
        position += 7 + size
        if kind == 0 or position > len(data):
            return
        part += data[position - size : position]
        if kind in (1, 4):  # whole, or the last part
            yield part
            part = b""


class WandbFile:
    """What one ``run-<id>.wandb`` holds."""

    def __init__(self, path: Path) -> None:
        from wandb.proto.wandb_internal_pb2 import Record

        self.run: Any = None
        self.ended = False
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        for chunk in chunks(path.read_bytes()):
            record = Record.FromString(chunk)
            if record.HasField("run"):
                self.run = record.run
                self.config.update({i.key: json.loads(i.value_json) for i in record.run.config.update})
            elif record.HasField("summary"):
                self.summary.update(items(record.summary.update))
            elif record.HasField("history"):
                self.history.append(items(record.history.item))
            elif record.HasField("exit"):
                self.ended = True

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of metrics as our own file has them."""
        rows = [row for row in self.history if not any(key.startswith("arch/picture") for key in row)]
        named = [{("step" if k == "trainer/step" else k): v for k, v in row.items()} for row in rows]
        return [{k: v for k, v in row.items() if not k.startswith("_")} for row in named]


def items(pairs: Any) -> dict[str, Any]:
    return {pair.key or ".".join(pair.nested_key): json.loads(pair.value_json) for pair in pairs}


def written(outputs: Path, ended: bool = True) -> list[WandbFile]:
    """Read all files; W&B's service may write the end of one up to a second after ``finish`` returned."""
    deadline = time.monotonic() + 10
    while True:
        files = [WandbFile(path) for path in sorted(outputs.glob("**/offline-run-*/*.wandb"))]
        if not ended or all(file.ended for file in files) or time.monotonic() > deadline:
            return files
        time.sleep(0.05)


@pytest.fixture(scope="session")
def read_wandb() -> Callable[..., list[WandbFile]]:
    """Read every offline file under a folder, in order of time."""
    return written


@pytest.fixture(scope="session")
def arguments() -> Callable[..., list[str]]:
    """The overrides of a tiny run that is tracked: ``arguments(outputs, *more)``."""
    return overrides


@pytest.fixture
def without_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment in which nobody ever logged in."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_SERVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
