"""Linear mixing: two matrices, a length that is bounded."""

from __future__ import annotations

import pytest
import torch

from nas.blocks.mixing.linear import LinearMixing
from nas.errors import InputError


def test_mixes_places_and_features() -> None:
    block = LinearMixing(4, 10, norm="none").double()
    x = torch.randn(2, 6, 4, dtype=torch.float64)
    mask = torch.ones(2, 6)
    mask[1, 4:] = 0
    shown = x * mask[..., None]
    tokens, features = block.over_tokens[:6, :6], block.over_features.weight
    expected = torch.einsum("btd,st,ed->bse", shown, tokens, features)
    torch.testing.assert_close(block.mix(x, mask), expected)


def test_starts_with_outputs_as_large_as_inputs() -> None:
    torch.manual_seed(0)
    block = LinearMixing(64, 128, norm="none")
    torch.nn.init.orthogonal_(block.over_features.weight)
    assert block.mix(torch.randn(4, 128, 64), None).std().item() == pytest.approx(1.0, abs=0.1)


def test_a_longer_sequence_is_refused() -> None:
    block = LinearMixing(4, 10)
    with pytest.raises(InputError, match=r"linear .*: data has T=11 tokens: at most max_seq_length=10"):
        block(torch.randn(1, 11, 4))
    with pytest.raises(InputError, match="max_seq_length=0 must be greater than 0"):
        LinearMixing(4, 0)
