"""The MobileBERT layer: what queries and values read, its norms, and its sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nas.blocks.transformer.mobilebert import MobileBertTransformer, NoNorm
from nas.errors import InputError


def layer(**changes: Any) -> MobileBertTransformer:
    torch.manual_seed(0)
    return MobileBertTransformer(
        16, 2, **{"intra_bottleneck_size": 8, "num_feedforward_networks": 2, **changes}
    )


def plain(made: MobileBertTransformer, data: Tensor, mask: Tensor) -> Tensor:
    """The paper's layer, head by head."""
    narrow = made.narrow.norm(made.narrow.dense(data))
    read = data if made.shared is None else made.shared.norm(made.shared.dense(data))
    query, key = made.query_key(read).split(8, dim=-1)
    value, heads = made.value(data), []
    for start in (0, 4):
        q, k, v = (x[..., start : start + 4] for x in (query, key, value))
        scores = q @ k.transpose(1, 2) / 2
        heads.append(scores.masked_fill(mask[:, None] == 0, -torch.inf).softmax(-1) @ v)
    inside = made.attention_norm(made.attended(torch.cat(heads, -1)) + narrow)
    for part in made.feedforwards:
        inside = part.norm(part.output(torch.relu(part.inner(inside))) + inside)
    return made.output_norm(made.widen(inside) + data)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("norm", ["no_norm", "layer_norm"])
def test_it_is_the_paper_s_layer_and_so_is_its_gradient(norm: str, shared: bool) -> None:
    made = layer(normalization_type=norm, key_query_shared_bottleneck=shared)
    data, mask = torch.randn(2, 5, 16, requires_grad=True), torch.ones(2, 5)
    mask[1, 3:] = 0
    ours, expected = made(data, mask), plain(made, data, mask)
    torch.testing.assert_close(ours, expected)
    for one, other in zip(
        torch.autograd.grad(ours.square().sum(), [data, *made.parameters()]),
        torch.autograd.grad(expected.square().sum(), [data, *made.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_attention_scores_are_those_that_it_uses() -> None:
    scores = layer().attention_scores(torch.randn(2, 5, 16), torch.tensor([[1, 1, 1, 0, 0], [1] * 5]))
    assert scores.shape == (2, 2, 5, 5)
    torch.testing.assert_close(scores.sum(-1), torch.ones(2, 2, 5))
    assert (scores[0, :, :, 3:] == 0).all()


def test_no_norm_scales_and_shifts() -> None:
    norm = NoNorm(3)
    data = torch.randn(2, 3)
    assert torch.equal(norm(data), data)
    assert norm(data.bfloat16()).dtype == torch.bfloat16


def test_sizes_follow_the_hidden_size() -> None:
    made = MobileBertTransformer(64, 4)
    assert (made.widen.in_features, made.feedforwards[0].inner.out_features) == (16, 64)
    assert layer(use_bottleneck_attention=True).shared is None
    with pytest.raises(InputError, match="num_attention_heads=2 must divide intra_bottleneck_size=7"):
        layer(intra_bottleneck_size=7)
    with pytest.raises(InputError, match="normalization_type='layernorm' is not one of"):
        layer(normalization_type="layernorm")
