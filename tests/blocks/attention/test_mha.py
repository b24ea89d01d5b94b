"""Multi-head attention: against its equation, with grouped heads, positions and normalised queries."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.positions import sinusoid
from nas.errors import InputError


def block(**changes: object) -> MultiHeadAttention:
    torch.manual_seed(0)
    return MultiHeadAttention(32, 4, **changes)  # type: ignore[arg-type]


def reference(attention: MultiHeadAttention, data: Tensor, mask: Tensor) -> Tensor:
    """Compute head by head, without positions: the equation of the paper, pre-norm."""
    groups, size = attention.num_kv_heads, attention.head_size
    rows = attention.qkv(attention.norm_before(data)).split(size, dim=-1)
    queries, keys, values = rows[:4], rows[4 : 4 + groups], rows[4 + groups :]
    outs = []
    for head, query in enumerate(queries):
        group = head // (4 // groups)
        scores = torch.einsum("btk,bsk->bts", query, keys[group]) / math.sqrt(size)
        weights = scores.masked_fill(mask[:, None, :] == 0, float("-inf")).softmax(-1)
        outs.append(weights @ values[group])
    return data + attention.output(torch.cat(outs, dim=-1))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("groups", "label"), [(None, "mha"), (4, "mha"), (2, "gqa"), (1, "mqa")])
def test_equals_the_equation_forward_and_backward(groups: int | None, label: str, bias: bool) -> None:
    attention = block(num_kv_heads=groups, position="none", bias=bias)
    assert attention.label == label
    data, mask = torch.randn(2, 7, 32), torch.ones(2, 7)
    mask[0, 4:] = 0
    actual, expected = attention(data, mask), reference(attention, data, mask)
    torch.testing.assert_close(actual, expected, atol=2e-6, rtol=1e-5)
    parameters, seed = list(attention.parameters()), torch.randn_like(data)
    for a, b in zip(
        *(torch.autograd.grad((o * seed).sum(), parameters) for o in (actual, expected)), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_without_positions_order_is_unseen_and_with_them_it_is_seen() -> None:
    data = torch.randn(1, 9, 32)
    order = torch.randperm(9)
    for position, seen in (("none", False), ("rope", True)):
        attention = block(position=position)
        same = torch.allclose(attention(data)[:, order], attention(data[:, order]), atol=1e-5)
        assert same != seen


def test_rope_sees_distances_only() -> None:
    attention = block(position="rope", norm="post")
    data, mask = torch.randn(1, 12, 32), torch.ones(1, 12)
    later = torch.cat([torch.randn(1, 5, 32), data], dim=1)
    shifted = torch.cat([torch.zeros(1, 5), mask], dim=1)
    torch.testing.assert_close(attention(later, shifted)[:, 5:], attention(data, mask), atol=1e-5, rtol=1e-5)


def test_qk_norm_makes_scores_blind_to_the_size_of_queries() -> None:
    attention = block(qk_norm=True, position="none")
    data = torch.randn(1, 5, 32)
    before = attention(data)
    with torch.no_grad():
        attention.qkv.weight[: 2 * 32] *= 3
    torch.testing.assert_close(attention(data), before, atol=1e-4, rtol=1e-4)


def test_head_size_of_its_own() -> None:
    attention = MultiHeadAttention(32, 3, head_size=6)
    assert attention.qkv.out_features == 3 * 3 * 6
    assert attention(torch.randn(1, 4, 32)).shape == (1, 4, 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_size": 32, "num_heads": 5}, "hidden_size=32 is not a multiple of num_heads=5"),
        ({"hidden_size": 32, "num_heads": 0}, "num_heads=0 must be greater than 0"),
        ({"num_kv_heads": 3}, "num_heads=4 is not a multiple of num_kv_heads=3"),
        ({"num_kv_heads": 0}, "num_kv_heads=0 must be greater than 0"),
        ({"head_size": 7}, "head_size=7 must be even"),
        ({"position": "rop"}, r"position='rop' is not one of \['rope', .*\]; did you mean 'rope'"),
        ({"norm": "middle"}, "norm='middle' is not one of"),
        ({"norm_type": "lyer"}, "did you mean 'layer'"),
        ({"attention_dropout": 1.0}, "attention_dropout=1.0 must be at least 0 and below 1"),
        ({"dropout": -0.1}, "dropout=-0.1 must be at least 0"),
        ({"rope_theta": 0.0}, "rope_theta=0.0 must be greater than 0"),
        ({"soft_cap": 0.0}, "soft_cap=0.0 must be greater than 0"),
        ({"position": "t5", "t5_buckets": 5}, "t5_buckets=5 must be even and at least 4"),
        ({"position": "t5", "t5_buckets": 1, "causal": True}, "t5_buckets=1 must be at least 2"),
        ({"position": "t5", "t5_max_distance": 8}, "t5_max_distance=8 must be greater than 8"),
    ],
)
def test_wrong_arguments_name_themselves(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MultiHeadAttention(**({"hidden_size": 32, "num_heads": 4} | arguments))  # type: ignore[arg-type]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("position", ["rope", "alibi", "t5", "sinusoid", "none"])
def test_keys_and_values_may_come_from_elsewhere(position: str, causal: bool) -> None:
    attention = block(position=position, causal=causal, num_kv_heads=2, bias=True)
    data, other = torch.randn(2, 5, 32), torch.randn(2, 7, 32)
    mask = torch.ones(2, 7)
    mask[0, 5:] = 0
    changed = torch.where(mask[..., None] == 1, other, torch.randn_like(other))
    out = attention.mix(data, mask, key_value=other)
    assert out.shape == (2, 5, 32)
    torch.testing.assert_close(attention.mix(data, mask, key_value=changed), out)
    torch.testing.assert_close(attention.mix(data, None, key_value=data), attention.mix(data, None))


@pytest.mark.parametrize("position", ["alibi", "t5", "rope"])
@pytest.mark.parametrize("causal", [False, True])
def test_places_are_relative(position: str, causal: bool) -> None:
    attention = block(position=position, causal=causal)
    data, before = torch.randn(1, 12, 32), torch.randn(1, 5, 32)
    mask = torch.cat([torch.zeros(1, 5), torch.ones(1, 12)], dim=1)
    later = attention(torch.cat([before, data], dim=1), mask)[:, 5:]
    torch.testing.assert_close(later, attention(data), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("position", ["alibi", "t5"])
def test_a_bias_by_distance_equals_the_equation_forward_and_backward(position: str) -> None:
    attention = block(position=position)
    data, mask = torch.randn(2, 7, 32), torch.ones(2, 7)
    mask[0, 5:] = 0
    query, key, value = attention._project(attention.norm_before(data))
    scores = torch.einsum("bhtk,bhsk->bhts", query, key) / math.sqrt(8)
    places = [[attention.positions.by_distance(torch.tensor([s - t])) for s in range(7)] for t in range(7)]
    scores = scores + torch.stack([torch.cat(row, dim=-1) for row in places], dim=1)  # type: ignore[arg-type]
    weights = scores.masked_fill(mask[:, None, None] == 0, float("-inf")).softmax(-1)
    expected = data + attention.output((weights @ value).transpose(1, 2).flatten(2))
    actual, parameters, seed = attention(data, mask), list(attention.parameters()), torch.randn_like(data)
    torch.testing.assert_close(actual, expected, atol=2e-6, rtol=1e-5)
    for a, b in zip(
        *(torch.autograd.grad((o * seed).sum(), parameters) for o in (actual, expected)), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_sinusoids_are_read_by_queries_and_keys_alone() -> None:
    attention = block(position="sinusoid")
    data = torch.randn(2, 6, 32)
    query, key, value = attention._project(data)
    plain = block(position="none")
    placed = data + sinusoid(6, 32, data.device)
    torch.testing.assert_close(query, plain._project(placed)[0])
    torch.testing.assert_close(key, plain._project(placed)[1])
    torch.testing.assert_close(value, plain._project(data)[2])


def test_settings_of_other_schemes_do_not_count() -> None:
    for position, unread in (("none", "rope_theta"), ("rope", "t5_buckets"), ("alibi", "t5_max_distance")):
        one, other = block(position=position), block(position=position, **{unread: 64})
        assert one.effective_config() == other.effective_config()
    assert block(rope_theta=64.0).effective_config() != block().effective_config()


def test_mask_that_does_not_fit() -> None:
    with pytest.raises(InputError, match=r"attention_mask of shape \[2, 6\] does not fit data"):
        block()(torch.randn(2, 7, 32), torch.ones(2, 6))
