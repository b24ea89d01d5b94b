"""Auxiliary losses of blocks: part of what is minimised and logged, never of validation."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import nas
from nas.seeding import seed_torch
from nas.train.loop import Position, TrainingLoop

HALTING = ["+block@encoder.blocks.halting=recursive/halting", "encoder.hidden_cls=[halting,ffn]"]


def loop_of(make: Any, folder: Path, *more: str) -> TrainingLoop:
    run: nas.config.build.Run = make(*HALTING, "encoder.blocks.ffn.dropout=0", *more)
    parts = run.parts
    run.task.prepare(folder / "cache", lambda line: None)
    seed_torch(0, "head")
    model = run.task.model(run.encoder)
    return TrainingLoop(
        parts["trainer"],
        model,
        run.task,
        parts["optimizer"],
        parts["schedule"],
        0,
        folder,
        "hash",
        lambda line: None,
    )


def test_rows_tell_the_losses_of_blocks(make: Any) -> None:
    run = make(*HALTING, "trainer.steps=6", "trainer.log_every=2")
    run.train()
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    trained = [row for row in rows if "train/loss" in row]
    assert len(trained) == 3
    assert all(0.01 < row["train/aux/ponder"] < 0.04 for row in trained)  # 0.01 times 1 to 3 steps and a rest
    assert all("train/aux/ponder" not in row for row in rows if "val/loss" in row)


def test_a_run_without_them_has_no_such_columns(make: Any) -> None:
    run = make("trainer.steps=2", "trainer.log_every=2")
    run.train()
    assert "train/aux" not in (run.folder / "metrics.jsonl").read_text()


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_they_are_minimised_but_not_reported_as_the_loss(make: Any, tmp_path: Path, weight: float) -> None:
    loop = loop_of(make, tmp_path, f"encoder.blocks.halting.ponder_weight={weight}")
    halt: Any = loop.model.get_submodule("encoder.blocks.0.halt")
    batch = loop.task.train_batch(0, 8, 0)
    task_loss = F.cross_entropy(loop.model(batch).logits, batch.labels)
    (alone,) = torch.autograd.grad(task_loss, halt.bias)
    loop.step()
    loop.read_losses()
    (loss,) = loop.position.window
    assert loss == pytest.approx(task_loss.item(), rel=1e-6)
    told = loop.position.auxiliary
    if weight:
        assert told["ponder"][0] > weight
        assert halt.bias.grad < alone - 0.01  # a higher chance to halt costs less
    else:
        assert told == {}


def test_validation_is_the_task_alone(make: Any, tmp_path: Path) -> None:
    free, dear = (
        loop_of(make, tmp_path, f"encoder.blocks.halting.ponder_weight={weight}") for weight in (0.0, 9.0)
    )
    dear.model.load_state_dict(free.model.state_dict())
    assert free.evaluate() == dear.evaluate()


def test_what_is_not_yet_told_is_kept_in_checkpoints() -> None:
    position = Position("hash", first_loss=1.0, auxiliary={"ponder": [0.5, 0.25]})
    assert Position(**json.loads(json.dumps(dataclasses.asdict(position)))) == position
