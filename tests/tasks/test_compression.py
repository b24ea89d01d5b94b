"""Compression: the answers come from one vector, and are all in the row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nas.errors import InputError
from nas.tasks.compression import Compression, CompressionHead


class Encoder(nn.Module):
    hidden_size = 12

    def get_embedding_table(self) -> nn.Parameter:
        return nn.Parameter(torch.zeros(16, 6))


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 20), st.integers(2, 20), st.integers(0, 2**32))
def test_every_token_but_the_last_is_asked_for(vocab: int, length: int, seed: int) -> None:
    task = Compression(vocab, length)
    rows = task.draw(np.random.default_rng(seed), 16, "train")
    assert (rows.tokens[:, -1] == vocab - 1).all()
    assert (rows.asked == np.arange(length - 1)).all()
    assert (rows.tokens[:, :-1] == rows.labels).all()
    assert rows.labels.max() < task.num_answers == vocab - 1


def test_tokens_are_uniform_in_every_place() -> None:
    labels = Compression(5, 4).draw(np.random.default_rng(0), 20_000, "train").labels
    for place in range(3):
        assert np.abs(np.bincount(labels[:, place], minlength=4) / 20_000 - 0.25).max() < 0.015


def test_the_head_sees_the_last_vector_alone() -> None:
    """The places that are asked for show their answers: they must not reach the head."""
    task = Compression(16, 8)
    head = task.head(Encoder())
    sequence = torch.randn(3, 8, 12, requires_grad=True)
    positions = task.train_batch(0, 3, 0).positions
    logits = head(sequence, positions)
    assert logits.shape == (21, 15)
    logits.pow(2).sum().backward()
    assert sequence.grad is not None
    assert (sequence.grad[:, :-1] == 0).all()
    assert (sequence.grad[:, -1] != 0).any(dim=1).all()
    changed = sequence.detach().clone()
    changed[:, :-1] = torch.randn(3, 7, 12)
    assert torch.equal(head(changed, positions), logits)


def test_the_head_tells_rows_and_places_apart() -> None:
    head = CompressionHead(12, 15)
    sequence = torch.randn(3, 8, 12)
    logits = head(sequence, torch.tensor([0, 1, 8, 9, 16]))
    assert len(logits.unique(dim=0)) == 5
    assert torch.allclose(head(sequence[1:], torch.tensor([1, 8])), logits[[3, 4]], atol=1e-6)


def test_the_cost_is_that_of_the_heads_products() -> None:
    task = Compression(16, 8)
    weights = sum(m.weight.numel() for m in task.head(Encoder()).modules() if isinstance(m, nn.Linear))
    assert task.head_flops_per_token(12) == pytest.approx(2 * weights * 7 / 8)


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"vocab_size": 2}, ["task.vocab_size=2 must be at least 3"]),
        (
            {"vocab_size": 0, "seq_length": 1, "validation_examples": 0},
            ["vocab_size=0", "seq_length=1", "validation_examples=0"],
        ),
    ],
)
def test_settings_without_a_solution_are_all_named(change: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(InputError) as error:
        Compression(**change)
    for message in messages:
        assert message in str(error.value)
