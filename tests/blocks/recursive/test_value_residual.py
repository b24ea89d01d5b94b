"""Attention with a value residual: what is mixed, and what is handed on."""

from __future__ import annotations

import pytest
import torch

from nas.blocks.attention.softmax import merge_heads, repeat_heads
from nas.blocks.recursive.value_residual import ValueResidualAttention
from nas.errors import InputError

DATA = torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(0))


def blocks(**changes: object) -> tuple[ValueResidualAttention, ValueResidualAttention]:
    torch.manual_seed(0)
    first = ValueResidualAttention(32, 4, has_state=False, norm="none", **changes)  # type: ignore[arg-type]
    second = ValueResidualAttention(32, 4, has_state=True, norm="none", **changes)  # type: ignore[arg-type]
    return first, second


@pytest.mark.parametrize("kv_heads", [None, 2])
@pytest.mark.parametrize("learned", [False, True])
def test_the_second_mixes_its_values_with_the_firsts(learned: bool, kv_heads: int | None) -> None:
    first, second = blocks(learned=learned, num_kv_heads=kv_heads)
    if second.weights is not None:
        with torch.no_grad():
            second.weights.copy_(torch.tensor([0.25, 2.0]))
    own, other = (0.25, 2.0) if learned else (0.5, 0.5)
    data, state = first(DATA)
    firsts = repeat_heads(first._project(DATA)[2], 4)
    torch.testing.assert_close(state, merge_heads(firsts))
    query, key, value = second._project(data)
    value = own * repeat_heads(value, 4) + other * firsts
    expected = data + second._merge(second._attend(query, key, value, None), data)
    actual, handed_on = second(data, None, state)
    torch.testing.assert_close(actual, expected)
    assert torch.equal(handed_on, state)


def test_the_first_one_and_one_without_a_state_are_plain_attention() -> None:
    first, second = blocks()
    assert first.weights is None
    for block in (first, second, blocks(learned=False)[1]):
        query, key, value = block._project(DATA)
        expected = DATA + block._merge(block._attend(query, key, value, None), DATA)
        torch.testing.assert_close(block(DATA)[0], expected)
        torch.testing.assert_close(block(DATA, None, None)[0], expected)


def test_blocks_with_other_heads_read_the_state() -> None:
    state = blocks()[0](DATA)[1]
    for heads in (1, 2, 8):
        block = ValueResidualAttention(32, heads, num_kv_heads=1, has_state=True)
        assert block(DATA, None, state)[0].shape == DATA.shape


def test_heads_must_fill_the_hidden_size() -> None:
    with pytest.raises(InputError, match="num_heads=3 times head_size=8 must be hidden_size=32"):
        ValueResidualAttention(32, 3, head_size=8)


def test_learned_does_not_count_where_nothing_is_mixed() -> None:
    one, other = blocks(learned=True), blocks(learned=False)
    assert one[0].effective_config() == other[0].effective_config()
    assert one[1].effective_config() != other[1].effective_config()
