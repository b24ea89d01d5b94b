"""The offline W&B files of a search: one run for each trained trial, whatever became of it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BLOCK = 32768


def chunks(data: bytes) -> Iterator[bytes]:
    """Yield the records of LevelDB's log format, in which W&B writes."""
    position, part = 7, b""
    while position + 7 <= len(data):
        if (left := BLOCK - position % BLOCK) < 7:
            position += left
            continue
        _, size, kind = struct.unpack("<IHB", data[position : position + 7])
        position += 7 + size
        part += data[position - size : position]
        if kind in (1, 4):  # whole, or the last part
            yield part
            part = b""


def read(path: Path) -> dict[str, Any]:
    """Return a run's identity, config, history and summary."""
    from wandb.proto.wandb_internal_pb2 import Record

    told: dict[str, Any] = {"config": {}, "history": [], "summary": {}}
    for record in map(Record.FromString, chunks(path.read_bytes())):
        if record.HasField("run"):
            told |= {
                "name": record.run.display_name,
                "group": record.run.run_group,
                "job": record.run.job_type,
            }
            told["config"] |= {i.key: json.loads(i.value_json) for i in record.run.config.update}
        elif record.HasField("summary"):
            told["summary"] |= {_key(i): json.loads(i.value_json) for i in record.summary.update}
        elif record.HasField("history"):
            told["history"].append({_key(i): json.loads(i.value_json) for i in record.history.item})
    return told


def _key(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


@pytest.mark.slow  # real W&B files of a whole search
def test_every_trained_trial_is_one_offline_run(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    space = {"optimizer.lr": [1e-2, 1e-6, 1e6]}
    more = ["tracker=wandb", "encoder.hidden_cls=[attn,conv]", "trainer.clip_norm=1e9", "trainer.log_every=2",
            "objective=[val/loss,latency_ms]", "rungs.pause=false", "rungs.bold=0"]  # fmt: skip
    in_order = ("sampler=grid", "sampler.shuffle=false")
    assert lab.search(lab.sweep("tracked", space), *more, "workers=1", *in_order, "n_trials=3") == 0
    rows = {f"trial-{row['number']}": row for row in lab.rows("tracked")}
    trained = {name: row for name, row in rows.items() if (row["reason"] or "")[:7] != "same as"}
    folder = lab.outputs / "tracked"
    runs = {run["name"]: run for run in map(read, folder.glob("wandb/offline-run-*/*.wandb"))}
    assert set(runs) == set(trained)
    assert {row["state"] for row in trained.values()} == {"COMPLETE", "PRUNED", "FAIL"}
    for name, run in runs.items():
        row = rows[name]
        assert (run["group"], run["job"]) == ("tracked", "trial")
        assert run["config"]["arch/string"] == "mha-conv"
        assert f"optimizer.lr={run['config']['optimizer']['lr']!r}" in row["overrides"]
        status = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "diverged"}[row["state"]]
        assert run["summary"]["status"] == status
        own = (folder / "trials" / str(row["number"]) / "metrics.jsonl").read_text().splitlines()
        losses = [json.loads(line)["train/loss"] for line in own if "train/loss" in line]
        assert [line["train/loss"] for line in run["history"] if "train/loss" in line] == losses
        if row["state"] == "COMPLETE":
            assert {key: run["summary"][key] for key in row["values"]} == row["values"]
