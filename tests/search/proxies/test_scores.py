"""Zero-cost scores: known values, and nothing is left behind in the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import nas
from nas.progress import silent
from nas.search.proxies.attention import AttentionWeights, confidence
from nas.search.proxies.scores import SCORES, zero_cost_scores


def probed(tmp_path: Path, *overrides: str) -> tuple[dict[str, float], Any]:
    run = nas.build(["task=mqar", "encoder.hidden_size=32", f"paths.cache={tmp_path}", *overrides])
    run.task.prepare(tmp_path, silent)
    model = run.task.model(run.encoder)
    batch = run.task.train_batch(0, 8, 0)
    return zero_cost_scores(model, run.task, batch), model


@pytest.mark.parametrize("slots", ["[attn,ffn]", "[conv,fourier,layer]", "[attn,reuse,loop]"])
def test_every_score_of_every_list_is_a_number_and_comes_again(tmp_path: Path, slots: str) -> None:
    scores, model = probed(tmp_path, f"encoder.hidden_cls={slots}")
    assert scores.keys() == SCORES.keys()
    assert all(torch.tensor(value).isfinite() for value in scores.values()), scores
    assert probed(tmp_path, f"encoder.hidden_cls={slots}")[0] == scores
    assert model.training
    assert all(p.grad is None for p in model.parameters())


def test_parameters_are_those_that_learn(tmp_path: Path) -> None:
    scores, model = probed(tmp_path, "encoder.hidden_cls=[attn,ffn]")
    pooler = sum(p.numel() for p in model.encoder.pooler_layer.parameters())
    assert scores["parameters"] == sum(p.numel() for p in model.parameters()) - pooler


def test_a_list_without_attention_has_no_confidence(tmp_path: Path) -> None:
    scores, _ = probed(tmp_path, "encoder.hidden_cls=[conv,ffn]")
    assert scores["attention_confidence"] == 0


def test_both_forms_of_attention_show_the_same_weights() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 6, 8).unbind(0)
    bias = torch.randn(6, 6)
    with AttentionWeights() as seen:
        torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        expected = (query @ key.transpose(-2, -1) / 8**0.5 + bias).softmax(-1)
    fused, causal, plain = seen.weights
    torch.testing.assert_close(fused, plain)
    assert torch.equal(plain, expected)
    assert causal[..., 0, 0].eq(1).all()
    assert causal.triu(1).abs().max() == 0
    assert confidence([torch.full((1, 1, 2, 4), 0.25)]) == [0.25]


def test_rows_that_act_alike_score_low(tmp_path: Path) -> None:
    """Mellor's score: a batch of one row repeated has the lowest rank there is."""
    run = nas.build(["task=mqar", "encoder.hidden_size=32", "encoder.hidden_cls=[attn,ffn]"])
    model = run.task.model(run.encoder)
    batch = run.task.train_batch(0, 8, 0)
    ids = batch.inputs["input_word_ids"]
    same = type(batch)({"input_word_ids": ids[:1].expand(8, -1)}, batch.positions, batch.labels)
    score = "jacobian_covariance"
    assert zero_cost_scores(model, run.task, same)[score] < zero_cost_scores(model, run.task, batch)[score]
