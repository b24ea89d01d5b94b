"""Measures of labels and numbers, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.tasks.base import Answers
from nas.tasks.label_scores import LabelScores, NumberScores, ranks
from nas.tasks.scoring import IGNORED

MEASURES = ("loss", "accuracy", "f1", "macro_f1", "mcc", "auc")


def scored(logits: torch.Tensor, labels: torch.Tensor, parts: int = 3) -> dict[str, float]:
    scores = LabelScores(MEASURES)
    for some, right in zip(logits.chunk(parts), labels.chunk(parts), strict=True):
        scores.add(Answers(some, right, torch.arange(len(right))))
    return {name.removeprefix("val/"): value for name, value in scores.metrics("val").items()}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_two_classes(seed: int) -> None:
    stream = torch.Generator().manual_seed(seed)
    logits = torch.randn(60, 2, generator=stream)
    labels = torch.randint(2, (60,), generator=stream)
    found = scored(logits, labels)
    said = logits.argmax(-1)
    tp, fp = int((said * labels).sum()), int((said * (1 - labels)).sum())
    fn, tn = int(((1 - said) * labels).sum()), int(((1 - said) * (1 - labels)).sum())
    assert found["f1"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert found["macro_f1"] == pytest.approx((found["f1"] + 2 * tn / (2 * tn + fp + fn)) / 2)
    spread = ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
    assert found["mcc"] == pytest.approx((tp * tn - fp * fn) / spread)
    margin = logits[:, 1] - logits[:, 0]
    pairs = margin[labels == 1][:, None] - margin[labels == 0]
    assert found["auc"] == pytest.approx((pairs > 0).double().mean().item())


def test_several_classes_against_the_correlation_of_indicators() -> None:
    stream = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(90, 3, generator=stream), torch.randint(3, (90,), generator=stream)
    said = torch.nn.functional.one_hot(logits.argmax(-1), 3).double().numpy()
    right = torch.nn.functional.one_hot(labels, 3).double().numpy()

    def covariance(a: np.ndarray, b: np.ndarray) -> float:  # type: ignore[type-arg]
        return float(((a - a.mean(0)) * (b - b.mean(0))).sum())

    expected = covariance(said, right) / (covariance(said, said) * covariance(right, right)) ** 0.5
    assert scored(logits, labels)["mcc"] == pytest.approx(expected)


def test_what_is_not_asked_does_not_count() -> None:
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 2.0], [0.0, 2.0]]), torch.tensor([0, 1, IGNORED])
    scores = LabelScores(("f1", "mcc", "accuracy"))
    scores.add(Answers(logits, labels, torch.arange(3)))
    assert scores.metrics("val") == {"val/f1": 1.0, "val/mcc": 1.0, "val/accuracy": 1.0}


def test_measures_that_are_not_defined_are_zero() -> None:
    found = scored(torch.tensor([[1.0, 0.0]] * 6), torch.zeros(6, dtype=torch.long))
    assert (found["f1"], found["mcc"], found["auc"]) == (0.0, 0.0, 0.5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=12))
def test_ranks_of_equal_numbers_are_shared(numbers: list[int]) -> None:
    expected = [sum(n < m for n in numbers) + (numbers.count(m) + 1) / 2 for m in numbers]
    assert ranks(np.array(numbers, float)).tolist() == expected


def test_correlations() -> None:
    right = torch.tensor([0.0, 1.0, 2.0, 3.0])
    scores = NumberScores(("loss", "pearson", "spearman"))
    for some in (slice(0, 3), slice(3, 4)):
        scores.add(Answers(right[some].exp()[:, None], right[some], torch.arange(len(right[some]))))
    found = scores.metrics("val")
    assert found["val/spearman"] == pytest.approx(1)
    assert found["val/pearson"] == pytest.approx(np.corrcoef(right.exp(), right)[0, 1])
    assert found["val/loss"] == pytest.approx(((right.exp() - right) ** 2).mean().item())
    constant = NumberScores(("pearson",))
    constant.add(Answers(torch.zeros(4, 1), right, torch.arange(4)))
    assert constant.metrics("val") == {"val/pearson": 0.0}
