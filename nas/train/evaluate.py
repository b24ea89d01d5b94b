"""The evaluation of a model on the splits of its task, divided among processes."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from nas.tasks.base import Task
from nas.train import life
from nas.train.group import Group
from nas.train.precision import autocast


def evaluate(
    model: nn.Module, task: Task, batch_size: int, device: torch.device, dtype: torch.dtype, group: Group
) -> dict[str, float]:
    """Return the metrics of every split; the model is left in training mode."""
    metrics: dict[str, float] = {}
    model.eval()
    with torch.inference_mode(), autocast(device, dtype):
        for split in task.splits:
            metrics |= _score(model, task, split, batch_size, device, group)
    model.train()
    return metrics


def _score(
    model: nn.Module, task: Task, split: str, batch_size: int, device: torch.device, group: Group
) -> dict[str, float]:
    """Score every ``group.size``-th batch of a split here, and add up what the others scored."""
    scores = task.scores()
    for batch in itertools.islice(task.batches(split, batch_size), group.rank, None, group.size):
        scores.add(model(batch.to(device)), batch.target_bytes)
        life.sign()
    if group.size > 1:
        scores.pool(group.sum)
    return scores.metrics(split)
