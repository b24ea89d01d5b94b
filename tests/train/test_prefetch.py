"""Batches made ahead are the batches of their steps."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from nas.tasks.base import Batch
from nas.train.prefetch import Batches

CPU = torch.device("cpu")


class Counting:
    """A task whose batches tell the step, and that remembers who made them."""

    def __init__(self, fails_at: int = -1) -> None:
        self.made: list[tuple[int, bool]] = []
        self.fails_at = fails_at

    def train_batch(self, step: int, batch_size: int, seed: int) -> Batch:
        self.made.append((step, threading.current_thread() is threading.main_thread()))
        if step == self.fails_at:
            raise RuntimeError("no such batch")
        return Batch(
            {"input_word_ids": torch.full((batch_size, 1), step)}, torch.tensor([seed]), torch.tensor([0])
        )


def batches(task: Any, ahead: bool | None) -> Batches:
    return Batches(task, 2, 7, CPU, ahead)


def test_a_thread_makes_the_next_one() -> None:
    task = Counting()
    ahead = batches(task, ahead=True)
    assert [int(ahead.at(step).inputs["input_word_ids"][0]) for step in range(3)] == [0, 1, 2]
    ahead.close()
    assert task.made[:3] == [(0, True), (1, False), (2, False)]


def test_another_step_than_expected_is_made_at_once() -> None:
    ahead = batches(Counting(), ahead=True)
    assert [int(ahead.at(step).inputs["input_word_ids"][0]) for step in (0, 5, 1)] == [0, 5, 1]
    ahead.close()


def test_what_goes_wrong_in_the_thread_is_told_at_its_step() -> None:
    ahead = batches(Counting(fails_at=1), ahead=True)
    ahead.at(0)
    with pytest.raises(RuntimeError, match="no such batch"):
        ahead.at(1)
    ahead.close()


def test_a_cpu_has_no_thread_unless_told() -> None:
    task = Counting()
    assert not batches(task, ahead=None).ahead
    batches(task, ahead=None).at(3)
    assert task.made == [(3, True)]


def test_a_run_is_the_same_with_and_without(make: Any, tmp_path: Any, read: Any) -> None:
    rows, _ = read
    runs = [make(f"trainer.prefetch={p}", outputs=tmp_path / p) for p in ("true", "false")]
    for run in runs:
        run.train(report=lambda line: None)
    assert rows(runs[0].folder) == rows(runs[1].folder)


@pytest.mark.gpu
def test_batches_for_a_gpu_are_pinned() -> None:
    made = Batches(Counting(), 2, 7, torch.device("cuda"))  # type: ignore[arg-type]
    batch = made.at(0)
    assert batch.inputs["input_word_ids"].is_pinned()
    assert batch.labels.is_pinned()
    made.close()
