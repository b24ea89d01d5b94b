"""Metrics are the same however the answers are divided into batches."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from nas.tasks.base import Batch
from nas.tasks.scoring import Scores, cross_entropy_sums


def batch_of(labels: torch.Tensor, target_bytes: int) -> Batch:
    return Batch({}, torch.arange(labels.numel()), labels, target_bytes)


def test_batches_of_any_size_give_the_same_metrics() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(100, 7), torch.randint(7, (100,))
    whole, parts = Scores(), Scores()
    whole.add(logits, batch_of(labels, 250))
    for start, stop in ((0, 1), (1, 60), (60, 100)):
        parts.add(logits[start:stop], batch_of(labels[start:stop], (stop - start) * 5 // 2 + stop // 61))
    loss = F.cross_entropy(logits, labels).item()
    for scores in (whole, parts):
        metrics = scores.metrics()
        assert metrics["val/loss"] == pytest.approx(loss, rel=1e-5)
        assert metrics["val/accuracy"] == (logits.argmax(-1) == labels).sum().item() / 100
    assert whole.metrics()["val/bits_per_byte"] == pytest.approx(loss * 100 / 250 / math.log(2), rel=1e-5)


def test_without_text_there_are_no_bytes() -> None:
    scores = Scores()
    scores.add(torch.zeros(2, 3), batch_of(torch.tensor([0, 1]), 0))
    assert set(scores.metrics("far")) == {"far/loss", "far/accuracy"}


def test_low_precision_is_summed_in_fp32() -> None:
    logits, labels = torch.randn(5000, 9), torch.zeros(5000, dtype=torch.int64)
    exact = cross_entropy_sums(logits.bfloat16().double().float(), labels)
    assert torch.equal(cross_entropy_sums(logits.bfloat16(), labels), exact)


def test_nothing_scored() -> None:
    with pytest.raises(ValueError, match="no batch"):
        Scores().metrics()
