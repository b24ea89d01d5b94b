"""ReZero: nothing at the start, the written-out form, one number or two."""

from __future__ import annotations

import pytest
import torch

from nas.blocks.transformer.rezero import ReZeroTransformer
from nas.errors import InputError

DATA = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1.0] * 7, [1.0] * 5 + [0.0] * 2])


def test_it_starts_as_the_identity() -> None:
    assert torch.equal(ReZeroTransformer(32, 4)(DATA, MASK), DATA)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("normed", [True, False])
def test_equals_the_written_out_form(shared: bool, normed: bool) -> None:
    torch.manual_seed(0)
    layer = ReZeroTransformer(32, 4, 48, share_rezero=shared, use_layer_norm=normed)
    torch.nn.init.normal_(layer.scales)
    a, b = layer.scales[0], layer.scales[0 if shared else 1]
    data = layer.attention_norm(DATA + a * layer.attention.mix(DATA, MASK))
    expected = layer.feedforward_norm(data + b * layer.feedforward.mix(data, MASK))
    torch.testing.assert_close(layer(DATA, MASK), expected)
    assert layer.scales.numel() == (1 if shared else 2)
    assert any("norm" in name for name, _ in layer.named_parameters()) == normed


def test_other_attentions() -> None:
    assert ReZeroTransformer(32, 4, num_kv_heads=1).label == "rezero(mqa)"
    assert ReZeroTransformer(32, 4, src_block_size=4).label == "rezero(blocks4)"
    with pytest.raises(InputError, match="need src_block_size"):
        ReZeroTransformer(32, 4, tgt_block_size=4)
