"""Measures of labels and of numbers, beside the loss: F1, correlations."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.tasks.base import Answers
from nas.tasks.scoring import IGNORED, Scores

Table = NDArray[np.float64]


class LabelScores(Scores):
    """Adds ``f1``, ``macro_f1``, ``mcc`` and ``auc`` to what `Scores` tells.

    ``f1`` is that of class 1, the positive one of two; ``macro_f1`` is the mean over all classes;
    ``mcc`` is Matthews' correlation coefficient, for more than two classes in Gorodkin's form
    (2004). Each is 0 where it is not defined. ``auc`` is the share of pairs of a row of class 1 and
    one of class 0 that the logits order rightly; 0.5 where there are no such pairs.
    """

    def __init__(self, measures: tuple[str, ...]) -> None:
        super().__init__(measures)
        self._tables: list[Tensor] = []
        self._margins: list[Tensor] = []

    def add(self, answers: Answers, target_bytes: int = 0) -> None:
        """Take the answers of one batch into account."""
        super().add(answers, target_bytes)
        kinds = answers.logits.shape[-1]
        asked = answers.labels != IGNORED
        cell = answers.labels.clamp(min=0) * kinds + answers.logits.argmax(-1)
        counts = torch.zeros(kinds * kinds, dtype=torch.long, device=cell.device)
        self._tables.append(counts.index_add(0, cell, asked.long()).view(kinds, kinds))
        if "auc" in self.measures:
            margin = answers.logits[:, 1] - answers.logits[:, 0]
            self._margins.append(torch.stack([margin, answers.labels]))

    def found(self, split: str) -> dict[str, float]:
        """Add the measures of the table of right answers (rows) and given ones (columns)."""
        table = torch.stack(self._tables).sum(0).cpu().double().numpy()
        f1 = f1_of(table)
        return {
            **super().found(split),
            "f1": float(f1[1]) if len(f1) > 1 else 0.0,
            "macro_f1": float(f1.mean()),
            "mcc": mcc_of(table),
            "auc": self._auc(),
        }

    def _auc(self) -> float:
        if not self._margins:
            return 0.5
        margin, label = torch.cat(self._margins, dim=1).cpu().double().numpy()
        return auc_of(margin[label == 1], margin[label == 0])


class NumberScores(Scores):
    """Scores of numbers: ``loss`` (mean squared error), ``pearson`` and ``spearman``.

    The correlations are 0 where they are not defined, such as for a model that says one number only.
    """

    def __init__(self, measures: tuple[str, ...]) -> None:
        super().__init__(measures)
        self._pairs: list[Tensor] = []

    def add(self, answers: Answers, target_bytes: int = 0) -> None:
        """Take the answers (logits [M, 1]) of one batch into account."""
        self._pairs.append(torch.stack([answers.logits[:, 0].float(), answers.labels.float()]))
        self._sums.append(self._pairs[-1])

    def found(self, split: str) -> dict[str, float]:
        """Return what is known of pairs of numbers."""
        said, right = torch.cat(self._pairs, dim=1).cpu().double().numpy()
        return {
            "loss": float(np.square(said - right).mean()),
            "pearson": correlation(said, right),
            "spearman": correlation(ranks(said), ranks(right)),
        }


def f1_of(table: Table) -> Table:
    """Return the F1 of each class: 2 TP / (2 TP + FP + FN)."""
    all_of = table.sum(0) + table.sum(1)
    scores: Table = 2 * np.diag(table) / np.where(all_of > 0, all_of, 1)
    return scores


def mcc_of(table: Table) -> float:
    """Return Matthews' correlation coefficient of a table of counts."""
    given, right, count = table.sum(0), table.sum(1), table.sum()
    covariance = np.trace(table) * count - given @ right
    spread = (count**2 - given @ given) * (count**2 - right @ right)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def auc_of(positive: Table, negative: Table) -> float:
    """Return the share of pairs in which the positive number is greater; ties count half."""
    pairs = len(positive) * len(negative)
    if not pairs:
        return 0.5
    above = ranks(np.concatenate([positive, negative]))[: len(positive)].sum()
    return float((above - len(positive) * (len(positive) + 1) / 2) / pairs)


def correlation(first: Table, second: Table) -> float:
    """Return Pearson's correlation of two rows of numbers."""
    first, second = first - first.mean(), second - second.mean()
    spread = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / spread) if spread > 0 else 0.0


def ranks(numbers: Table) -> Table:
    """Return the rank of each number; equal ones share the mean of theirs."""
    _, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: Table = last - (counts - 1) / 2
    return means[inverse]
