"""Loss and metrics of answers, summed over batches of any size."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from nas.tasks.base import Answers

SMALL_IS_GOOD = ("loss", "bits_per_byte")
"""Of these measures less is better; of all others more."""
IGNORED = -100
"""The label of a place where nothing is asked: PyTorch's default for the cross-entropy."""


def direction_of(metric: str) -> Literal["minimize", "maximize"]:
    """Return which way a metric such as ``val/loss`` gets better."""
    return "minimize" if metric.rpartition("/")[2] in SMALL_IS_GOOD else "maximize"


class Scores:
    """Collects what batches score; nothing waits for the device before `metrics`.

    Measures: ``loss`` (nats per answer), ``accuracy`` (share of right answers), ``solved`` (share of
    rows of which every answer is right) and ``bits_per_byte`` (the loss over what the answers stand
    for, so that it can be compared between tokenizers; not with a causal model's, because more than
    the left context is visible here).

    Args:
        measures: which of them are wanted.
    """

    def __init__(self, measures: tuple[str, ...]) -> None:
        self.measures = measures
        self._sums: list[Tensor] = []
        self._bytes = 0

    def add(self, answers: Answers, target_bytes: int = 0) -> None:
        """Take the answers of one batch into account."""
        self._sums.append(sums_of(answers))
        self._bytes += target_bytes

    def pool(self, add: Callable[[list[float]], list[float]]) -> None:
        """Replace what was collected by the sums over several processes, each with a part of the split.

        Args:
            add: maps numbers to their sums over the processes.
        """
        own = torch.stack(self._sums).cpu().double().sum(0).tolist() if self._sums else [0.0] * 5
        *sums, target_bytes = add([*own, float(self._bytes)])
        self._sums, self._bytes = [torch.tensor(sums, dtype=torch.float64)], int(target_bytes)

    def metrics(self, split: str) -> dict[str, float]:
        """Return ``<split>/<measure>`` for every measure.

        Raises:
            ValueError: no answer was added.
        """
        if not self._sums:
            raise ValueError("no batch was added")
        found = self.found(split)
        return {f"{split}/{measure}": found[measure] for measure in self.measures}

    def found(self, split: str) -> dict[str, float]:
        """Return every measure that can be told, wanted or not; a subclass adds its own."""
        loss, right, asked, solved, rows = torch.stack(self._sums).cpu().double().sum(0).tolist()
        return {
            "loss": loss / asked,
            "accuracy": right / asked,
            "solved": solved / rows,
            "bits_per_byte": loss / math.log(2) / self._bytes if self._bytes else math.nan,
        }


def sums_of(answers: Answers) -> Tensor:
    """Return [5]: summed cross-entropy (nats), right answers, answers, rows all right, rows.

    Args:
        answers: logits in any precision; the sums are taken in fp32.
    """
    logits, labels, rows = answers
    loss = F.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum")
    asked = labels != IGNORED
    wrong = asked & (logits.argmax(-1) != labels)
    count = torch.zeros_like(rows)  # every row has an answer, so there are no more rows than answers
    asked_rows = count.index_add(0, rows, asked.long()) > 0
    wrong_rows = count.index_add(0, rows, wrong.long()) > 0
    right, solved = asked.sum() - wrong.sum(), (asked_rows & ~wrong_rows).sum()
    return torch.stack([loss, *(t.float() for t in (right, asked.sum(), solved, asked_rows.sum()))])
