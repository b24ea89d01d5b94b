"""Mixers with weights for every place: against sums written out, and their lengths."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.mixing.gmlp import GatedMLP
from nas.blocks.mixing.mlp_mixer import MLPMixer
from nas.errors import InputError

CLASSES = [(MLPMixer, "mlp_mixer"), (GatedMLP, "gmlp")]


def example(tokens: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    mask = torch.ones(2, tokens)
    mask[1, -1] = mask[1, 0] = 0
    return torch.randn(2, tokens, 6), mask


@pytest.mark.parametrize("gate", [False, True])
def test_mixer_is_one_network_for_each_feature(gate: bool) -> None:
    data, mask = example(5)
    block = MLPMixer(6, max_seq_length=8, gate=gate, activation="silu")
    read = block.norm_before(data) * mask[..., None]
    width = 16
    for feature in range(6):
        inner = read[:, :, feature] @ block.inner.weight[:, :5].T + block.inner.bias
        hidden = F.silu(inner[:, :width]) * (inner[:, width:] if gate else 1)
        mixed = hidden @ block.output.weight[:5].T + block.output.bias[:5]
        expected = data[:, :, feature] + mixed
        torch.testing.assert_close(block(data, mask)[:, :, feature], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_gmlp_gates_by_a_mixture_of_places(causal: bool) -> None:
    data, mask = example(5)
    block = GatedMLP(6, max_seq_length=8, inner_dim=4, causal=causal)
    torch.nn.init.normal_(block.places)
    inner = F.gelu(block.inner(block.norm_before(data)))
    value, gate = inner[..., :4], block.gate_norm(inner[..., 4:]) * mask[..., None]
    mixed = []
    for t in range(5):
        seen = range(t + 1) if causal else range(5)
        total = sum((block.places[t, s] * gate[:, s] for s in seen), start=block.places_bias[t])
        mixed.append(value[:, t] * total)
    expected = data + block.output(torch.stack(mixed, dim=1))
    torch.testing.assert_close(block(data, mask), expected, atol=1e-5, rtol=1e-5)


def test_gmlp_starts_as_a_plain_feed_forward_network() -> None:
    data, _ = example(5)
    block = GatedMLP(6, max_seq_length=8, inner_dim=4)
    value = F.gelu(block.inner(block.norm_before(data)))[..., :4]
    torch.testing.assert_close(block(data), data + block.output(value), atol=2e-3, rtol=0)


@pytest.mark.parametrize(("cls", "name"), CLASSES)
def test_lengths_that_can_not_be(cls: Any, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: max_seq_length=None must be an integer"):
        cls(6)
    with pytest.raises(InputError, match="max_seq_length=0 must be greater than 0"):
        cls(6, max_seq_length=0)
    with pytest.raises(InputError, match=f"{name}: data has T=9 tokens: at most max_seq_length=8"):
        cls(6, max_seq_length=8)(torch.randn(1, 9, 6))
