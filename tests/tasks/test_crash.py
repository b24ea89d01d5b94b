"""A run that crashes continues to the same result: settings and tasks that tests/train does not kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nas

TINY = (
    "tracker=none",
    "encoder=hybrid",
    "encoder.hidden_cls=[attn,ffn]",
    "encoder.hidden_size=16",
    "encoder.num_heads=2",
    "encoder.blocks.attn.dropout=0.1",  # so that the random state matters
    "trainer.steps=24",
    "trainer.batch_size=8",
    "trainer.precision=fp32",
    "trainer.log_every=2",
    "trainer.checkpoint_seconds=1e-6",
)
TEXT = ("corpus.max_bytes=400000", "task.validation_tokens=2048")
TASKS = {
    "rtd_shared": ("task=rtd", "task.generator=shared", *TEXT),
    "maze": ("task=grid_maze", "task.train_examples=256", "task.validation_examples=64"),
    "classification": ("task=classification", "task.path={folder}/texts.tsv"),
}


class CrashError(Exception):
    """The process ends here."""


def overrides(name: str, folder: Path, outputs: str) -> list[str]:
    lines = [f"text {i} {'good' if i % 3 else 'bad'}\t{i % 3 > 0}" for i in range(200)]
    (folder / "texts.tsv").write_text("\n".join(["text\tlabel", *lines]))
    own = [argument.format(folder=folder) for argument in TASKS[name]]
    return [*TINY, *own, f"paths.outputs={folder / outputs}", f"paths.cache={folder}/cache"]


def told(folder: Path) -> list[Any]:
    """Return the rows and the result of a run, without how long it took."""
    lines = [*(folder / "metrics.jsonl").read_text().splitlines(), (folder / "result.json").read_text()]
    times = ("seconds", "tokens_per_second")
    return [{k: v for k, v in json.loads(line).items() if k not in times} for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_a_run_that_crashed_continues_to_the_same_result(name: str, tmp_path: Path) -> None:
    def crash(row: dict[str, Any], progress: float) -> None:
        if row["step"] == 14:
            raise CrashError

    whole = nas.build(overrides(name, tmp_path, "whole"))
    whole.train(report=lambda line: None)
    first = nas.build(overrides(name, tmp_path, "crashed"))
    with pytest.raises(CrashError):
        first.train(report=lambda line: None, watch=crash)
    said: list[str] = []
    again = nas.build(overrides(name, tmp_path, "crashed"))
    again.train(report=said.append)
    assert any("from step 13" in line for line in said)
    assert told(again.folder) == told(whole.folder)


@pytest.mark.slow
def test_a_run_keeps_its_tokenizer_for_the_next_task(tmp_path: Path) -> None:
    """Pre-training with byte pairs, then classification with the same ones."""
    common = [*TINY, "trainer.steps=4", f"paths.outputs={tmp_path}", f"paths.cache={tmp_path}/cache"]
    before = nas.build([*common, "task=mlm", *TEXT, "tokenizer=bpe", "tokenizer.vocab_size=400"])
    before.train(report=lambda line: None)
    own = overrides("classification", tmp_path, "next")
    after = nas.build([*own, "trainer.steps=4", "tokenizer=saved", f"tokenizer.path={before.folder}"])
    after.train(report=lambda line: None)
    assert after.task.tokenizer.pieces() == before.task.tokenizer.pieces()  # type: ignore[attr-defined]
    kept = [(run.folder / "tokenizer/tokenizer.json").read_bytes() for run in (before, after)]
    assert kept[0] == kept[1]
