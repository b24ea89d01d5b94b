"""Muon and AdamW side by side as one optimizer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nas.errors import InputError
from nas.seeding import seed_torch
from nas.train.loop import TrainingLoop
from nas.train.muon import Muon, hidden_matrices


def loop_of(make: Any, folder: Path) -> TrainingLoop:
    run = make("optimizer=muon", "optimizer.lr=0.02")
    run.task.prepare(folder / "cache", lambda line: None)
    seed_torch(0, "head")
    model = run.task.model(run.encoder)
    seed_torch(0, "dropout")
    model.train()
    return TrainingLoop(
        run.parts["trainer"], model, run.task, run.parts["optimizer"], run.parts["schedule"],
        0, folder, "hash", lambda line: None,
    )  # fmt: skip


def take(loop: TrainingLoop, count: int) -> list[float]:
    for _ in range(count):
        loop.step()
        loop.position.step += 1
    return [loss for loss, _ in loop.readings.read()]


def test_matrices_of_blocks_are_muons_and_all_else_adamws(make: Any, tmp_path: Path) -> None:
    loop = loop_of(make, tmp_path)
    groups = loop.optimizer.param_groups
    of_muon = [p for group in groups if group["part"] == 0 for p in group["params"]]
    assert {id(p) for p in of_muon} == {id(p) for p in hidden_matrices(loop.model)}
    assert len(of_muon) == 4  # qkv and output of attention, inner and output of the feed-forward
    every = [id(p) for group in groups for p in group["params"]]
    assert sorted(every) == sorted(id(p) for p in loop.model.parameters())


def test_it_learns(make: Any, tmp_path: Path) -> None:
    losses = take(loop_of(make, tmp_path), 40)
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_a_checkpoint_continues_to_the_same_losses(make: Any, tmp_path: Path) -> None:
    whole = take(loop_of(make, tmp_path / "a"), 8)
    first = loop_of(make, tmp_path / "b")
    begun = take(first, 4)
    first._save(time.monotonic())
    second = loop_of(make, tmp_path / "b")
    assert second.resume() == 4
    assert begun + take(second, 4) == whole


def test_a_step_is_that_of_pytorch() -> None:
    ours = nn.ModuleList([nn.Linear(3, 4, bias=False)])
    theirs = nn.ModuleList([nn.Linear(3, 4, bias=False)])
    theirs.load_state_dict(ours.state_dict())
    from nas.train.muon import Together

    together = Together([torch.optim.Muon(ours.parameters(), lr=0.1)])
    alone = torch.optim.Muon(theirs.parameters(), lr=0.1)
    for model, optimizer in ((ours, together), (theirs, alone)):
        for _ in range(2):
            model[0](torch.ones(2, 3)).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours[0].weight, theirs[0].weight)


def test_wrong_values_are_named() -> None:
    with pytest.raises(InputError, match=r"optimizer.momentum=1.0 must be at least 0 and below 1"):
        Muon(momentum=1.0)
    with pytest.raises(InputError, match=r"optimizer.newton_schulz_steps=0 must be greater than 0"):
        Muon(newton_schulz_steps=0)
