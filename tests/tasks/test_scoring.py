"""Metrics are the same however the answers are divided into batches."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from nas.tasks.base import Answers
from nas.tasks.scoring import IGNORED, Scores, sums_of

MEASURES = ("loss", "accuracy", "solved", "bits_per_byte")


def answers(logits: torch.Tensor, labels: torch.Tensor, per_row: int = 1) -> Answers:
    return Answers(logits, labels, torch.arange(labels.numel()) // per_row)


def test_batches_of_any_size_give_the_same_metrics() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(100, 7), torch.randint(7, (100,))
    whole, parts = Scores(MEASURES), Scores(MEASURES)
    whole.add(answers(logits, labels, 2), 250)
    for start, stop in ((0, 2), (2, 60), (60, 100)):
        share = (stop - start) * 5 // 2
        parts.add(answers(logits[start:stop], labels[start:stop], 2), share)
    loss = F.cross_entropy(logits, labels).item()
    right = logits.argmax(-1) == labels
    for scores in (whole, parts):
        metrics = scores.metrics("val")
        assert metrics["val/loss"] == pytest.approx(loss, rel=1e-5)
        assert metrics["val/accuracy"] == right.sum().item() / 100
        assert metrics["val/solved"] == right.view(50, 2).all(1).sum().item() / 50
        assert metrics["val/bits_per_byte"] == pytest.approx(loss * 100 / 250 / math.log(2), rel=1e-5)


def test_places_where_nothing_is_asked_do_not_count() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 3), torch.tensor([0, IGNORED, 2, 1, IGNORED, IGNORED])
    asked = labels != IGNORED
    scores = Scores(MEASURES[:3])
    scores.add(answers(logits, labels, 2))  # the third row asks nothing
    metrics = scores.metrics("far")
    right = (logits.argmax(-1) == labels)[asked]
    assert metrics["far/loss"] == pytest.approx(
        F.cross_entropy(logits[asked], labels[asked]).item(), rel=1e-5
    )
    assert metrics["far/accuracy"] == pytest.approx(right.sum().item() / 3)
    assert metrics["far/solved"] == pytest.approx((right[0].item() + (right[1] & right[2]).item()) / 2)


def test_low_precision_is_summed_in_fp32() -> None:
    logits, labels = torch.randn(5000, 9), torch.zeros(5000, dtype=torch.int64)
    exact = sums_of(answers(logits.bfloat16().double().float(), labels))
    assert torch.equal(sums_of(answers(logits.bfloat16(), labels)), exact)


def test_nothing_scored() -> None:
    with pytest.raises(ValueError, match="no batch"):
        Scores(MEASURES).metrics("val")
