"""A stack of candidates: the losses and weights of single runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nas.errors import InputError
from nas.seeding import seed_torch
from nas.train.loop import TrainingLoop
from nas.train.optimizers import AdamW
from nas.train.schedules import Constant, Cosine
from nas.train.stacked import Stack

SEEDS, RATES, STEPS = (0, 1, 2), (1e-3, 1e-2, 3e-2), 8


def single(make: Any, folder: Path, seed: int, rate: float) -> TrainingLoop:
    run = make(f"seed={seed}", f"trainer.steps={STEPS}", *without_dropout())
    run.task.prepare(folder / "cache", lambda line: None)
    seed_torch(seed, "head")
    model = run.task.model(run.encoder)
    model.train()
    return TrainingLoop(
        run.parts["trainer"], model, run.task, AdamW(rate), Cosine(), seed, folder, "hash", lambda line: None
    )


def without_dropout() -> tuple[str, ...]:
    return tuple(f"encoder.blocks.{name}.dropout=0.0" for name in ("attn", "ffn"))


@pytest.mark.slow  # seconds
def test_losses_and_weights_are_those_of_single_runs(make: Any, tmp_path: Path) -> None:
    loops = [single(make, tmp_path, seed, rate) for seed, rate in zip(SEEDS, RATES, strict=True)]
    models = [single(make, tmp_path, seed, rate).model for seed, rate in zip(SEEDS, RATES, strict=True)]
    stack = Stack(models, loops[0].task, SEEDS, RATES, AdamW(), Cosine(), steps=STEPS, batch_size=8)
    together = torch.stack([stack.step() for _ in range(STEPS)])
    alone = torch.empty(STEPS, len(SEEDS))
    for step in range(STEPS):
        for index, loop in enumerate(loops):
            loop.step()
            loop.position.step += 1
            alone[step, index] = loop.readings.latest
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)
    for stored, loop in zip(stack.store(), loops, strict=True):
        for ours, theirs in zip(stored.parameters(), loop.model.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("models", "count", "text"),
    [
        ([nn.Linear(2, 2)], 2, "1 models, 2 seeds and 2 rates: a stack needs one of each"),
        ([nn.Linear(2, 2), nn.Linear(2, 3)], 2, r"models\[1\] differs from models\[0\] in the shape of"),
    ],
)
def test_what_does_not_fit_is_refused(models: list[nn.Module], count: int, text: str) -> None:
    with pytest.raises(InputError, match=text):
        Stack(models, None, range(count), [0.1] * count, AdamW(), Constant(), steps=1, batch_size=1)  # type: ignore[arg-type]
