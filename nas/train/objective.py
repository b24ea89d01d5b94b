"""What a training step minimises, and how its batch is shared among processes and micro-batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.blocks.losses import collect_losses
from nas.tasks.base import Batch, Task
from nas.tasks.scoring import IGNORED


class Objective(nn.Module):
    """Maps a batch to its losses, so that all of the graph begins in one forward pass.

    Args:
        model: of the task.
        task: knows the loss.
    """

    def __init__(self, model: nn.Module, task: Task) -> None:
        super().__init__()
        self.model = model
        self.task = task

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the task's loss [] and the auxiliary losses [] of blocks, by name."""
        with collect_losses() as auxiliary:
            loss = self.task.loss(self.model(batch))
        return loss, auxiliary


@dataclass(frozen=True)
class Share:
    """Some rows of a batch, and what they are of the whole.

    Attributes:
        batch: the rows.
        answers: their share of the whole batch's answers, `IGNORED` ones left out: the weight of the
            task's loss, which is a mean over answers.
        rows: their share of the rows: the weight of auxiliary losses.
    """

    batch: Batch
    answers: float
    rows: float

    def weigh(self, loss: Tensor, auxiliary: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what this share adds to the losses of the whole batch."""
        if not self.answers:  # the mean over nothing is NaN
            loss = torch.nan_to_num(loss)
        return loss * self.answers, {name: value * self.rows for name, value in auxiliary.items()}


def shares(batch: Batch, rank: int, size: int, parts: int) -> Iterator[Share]:
    """Yield the ``parts`` micro-batches of one process of ``size``; together they are the whole batch.

    The sum of the weighted losses over all of them is the loss of the whole batch. An auxiliary loss
    that is no mean over rows (such as the balance of experts, a product of means) is that of the
    micro-batches, as everywhere.
    """
    if size * parts == 1:
        yield Share(batch, 1.0, 1.0)
        return
    count = len(batch.inputs["input_word_ids"])
    answers = _answers(batch)
    for number in range(rank * parts, (rank + 1) * parts):
        start, stop = (count * edge // (size * parts) for edge in (number, number + 1))
        part = batch.part(start, stop)
        yield Share(part, _answers(part) / answers, (stop - start) / count)


def _answers(batch: Batch) -> int:
    return int((batch.labels != IGNORED).sum())
