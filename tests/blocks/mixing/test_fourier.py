"""Fourier mixing: against the transform written as sums of cosines and sines."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from nas.blocks.mixing.fourier import FourierMixing
from nas.blocks.mixing.hartley import HartleyMixing


def waves(size: int) -> tuple[Tensor, Tensor]:
    places = torch.arange(size, dtype=torch.float64)
    angles = 2 * math.pi * torch.outer(places, places) / size
    return angles.cos(), angles.sin()


@pytest.mark.parametrize("ortho", [True, False])
@pytest.mark.parametrize("tokens", [1, 7, 8])
def test_equals_the_written_out_transform(tokens: int, ortho: bool) -> None:
    torch.manual_seed(0)
    block = FourierMixing(6, ortho=ortho).double()
    data, mask = torch.randn(2, tokens, 6, dtype=torch.float64), torch.ones(2, tokens)
    mask[0, 4:] = 0
    x = block.norm_before(data) * mask[..., None]
    (cos_t, sin_t), (cos_d, sin_d) = waves(tokens), waves(6)
    mixed = cos_t @ x @ cos_d - sin_t @ x @ sin_d
    scale = math.sqrt(tokens * 6) if ortho else 1.0
    torch.testing.assert_close(block(data, mask), data + mixed / scale)


@pytest.mark.parametrize("ortho", [True, False])
@pytest.mark.parametrize("block", [FourierMixing, HartleyMixing])
def test_products_compute_the_same_forward_and_backward(block: type[FourierMixing], ortho: bool) -> None:
    torch.manual_seed(0)
    data = torch.randn(2, 21, 10, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 21, 10, dtype=torch.float64)
    results = []
    for method in ("fft", "matmul"):
        out = block(10, ortho=ortho, method=method).double()(data)
        results.append((out, *torch.autograd.grad((out * weight).sum(), data)))
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain)


def test_products_cost_what_torch_counts() -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        block = FourierMixing(32, method="matmul")
        block(torch.empty(1, 50, 32))
    assert block.flops_per_token(50) == counter.get_total_flops() / 50


def test_nothing_is_learnt_but_the_norm() -> None:
    assert [name for name, _ in FourierMixing(6).named_parameters()] == [
        "norm_before.weight",
        "norm_before.bias",
    ]
