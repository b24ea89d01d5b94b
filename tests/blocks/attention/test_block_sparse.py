"""Block-sparse attention: against masked full attention, its blocks, and the original's normalisation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.blocks.attention.block_sparse import BlockSparseAttention
from nas.errors import InputError

DATA = torch.randn(2, 10, 16, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1.0] * 10, [1.0] * 5 + [0.0, 1.0, 1.0, 0.0, 0.0]])


def make(**settings: object) -> BlockSparseAttention:
    torch.manual_seed(0)
    return BlockSparseAttention(16, 2, bias=True, norm="none", **settings)  # type: ignore[arg-type]


def heads_of(block: BlockSparseAttention, data: Tensor = DATA) -> list[Tensor]:
    flat = [block.query(data), *block.key_value(data).chunk(2, dim=-1)]
    return [x.view(2, data.shape[1], -1, 8).transpose(1, 2) for x in flat]


def full(block: BlockSparseAttention, size: int) -> Tensor:
    """Attention over everything, with what lies outside of a token's block hidden."""
    q, k, v = heads_of(block)
    places = torch.arange(10) // size
    hidden = (places[:, None] != places).float() * -1e30
    bias = (1 - MASK[:, None, None]) * -1e9 + hidden
    out = (q @ k.mT / 8**0.5 + bias).softmax(-1) @ v
    return block.output(out.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("size", [1, 4, 5, 10, 64])
@pytest.mark.parametrize("form", ["BT", "BTT", "copied"])
def test_equals_full_attention_with_the_rest_hidden(size: int, form: str) -> None:
    block = make(block_size=size)
    square = MASK[:, None].expand(-1, 10, -1)
    mask = {"BT": MASK, "BTT": square, "copied": square.contiguous()}[form]
    real = MASK[..., None].bool()
    pair = [r.masked_select(real) for r in (block.mix(DATA, mask), full(block, size))]
    torch.testing.assert_close(*pair, atol=1e-5, rtol=1e-5)
    grads = [torch.autograd.grad(r.cos().sum(), list(block.parameters())) for r in pair]
    for actual, expected in zip(*grads, strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_a_mask_by_query_is_kept_inside_blocks() -> None:
    block = make(block_size=5)
    causal = torch.ones(10, 10).tril().expand(2, -1, -1)
    changed = torch.cat([DATA[:, :8], 50 * DATA[:, 8:]], dim=1)
    torch.testing.assert_close(block.mix(changed, causal)[:, :8], block.mix(DATA, causal)[:, :8])


def test_other_blocks_are_not_seen() -> None:
    block = make(block_size=5)
    changed = torch.cat([DATA[:, :5], 50 * DATA[:, 5:]], dim=1)
    torch.testing.assert_close(block.mix(changed, None)[:, :5], block.mix(DATA, None)[:, :5])


def test_one_block_of_keys_serves_all_queries() -> None:
    block = make(block_size=5, key_block_size=10)
    q, k, v = heads_of(block)
    expected = block.output(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(block.mix(DATA, None), expected, atol=1e-5, rtol=1e-5)
    square = MASK[:, None].repeat(1, 10, 1)
    torch.testing.assert_close(block.mix(DATA, square), block.mix(DATA, MASK), atol=1e-6, rtol=1e-6)


def test_softmax_over_queries_of_a_block() -> None:
    block = make(block_size=5, softmax_axis=-2)
    q, k, v = (x.unflatten(2, (2, 5)) for x in heads_of(block))
    seen = MASK.view(2, 1, 2, 5)
    bias = (1 - seen[..., None] * seen[..., None, :]) * -1e9
    weights = (q @ k.mT / 8**0.5 + bias).softmax(-2)
    assert torch.allclose(weights.sum(-2), torch.ones(()))
    expected = block.output((weights @ v).flatten(2, 3).transpose(1, 2).flatten(2))
    torch.testing.assert_close(block.mix(DATA, MASK), expected, atol=1e-5, rtol=1e-5)


def test_sigmoid_weights_do_not_compete() -> None:
    block = make(block_size=10, sigmoid_bias=-2.0)
    q, k, v = heads_of(block)
    weights = torch.sigmoid(q @ k.mT / 8**0.5 - 2) * MASK[:, None, None]
    expected = block.output((weights @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(block.mix(DATA, MASK), expected, atol=1e-5, rtol=1e-5)


def test_as_many_blocks_of_keys_as_of_queries() -> None:
    with pytest.raises(
        InputError, match=r"10 queries into 2 blocks .*, but 10 keys into 3 \(key_block_size=4\)"
    ):
        make(block_size=5, key_block_size=4).mix(DATA, None)
    fewer = make(block_size=5, key_block_size=2).mix(DATA, None, key_value=DATA[:, :4])
    assert fewer.shape == DATA.shape


def test_the_exported_form_is_the_same_function() -> None:
    for settings in ({}, {"softmax_axis": -2}, {"sigmoid_bias": -1.0}):
        block = make(block_size=5, **settings)
        query, key, value = heads_of(block)
        mask = block._mask(MASK, DATA, DATA)
        pair = [form(query, key, value, mask) for form in (block._attend_blocks, block._attend_masked)]
        torch.testing.assert_close(*pair, atol=1e-5, rtol=1e-5)
