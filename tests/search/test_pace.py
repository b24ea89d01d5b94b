"""How long a run takes: with its own threads, and without what other programs do meanwhile."""

from __future__ import annotations

import time

import pytest
import torch

from nas.config.build import build
from nas.search.pace import STEPS, pace
from nas.train.loop import TrainingLoop

TINY = ("task=mqar", "task.seq_length=16", "encoder.hidden_size=16", "encoder.num_heads=2", "tracker=none",
        "encoder.hidden_cls=[ffn]", "trainer.steps=100")  # fmt: skip


def test_it_is_measured_with_the_threads_of_a_run_and_without_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, threads = TrainingLoop.step, []

    def step(loop: TrainingLoop) -> float:
        threads.append(torch.get_num_threads())
        time.sleep(0.1)  # as if another program had the core
        return real(loop)

    monkeypatch.setattr(TrainingLoop, "step", step)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = pace(build([*TINY]))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert threads == [1] * STEPS
    assert found.now >= found.alone + 100 * 0.1
    assert pace(build([*TINY, "trainer.steps=null", "trainer.seconds=7"])) == (7.0, 7.0)
