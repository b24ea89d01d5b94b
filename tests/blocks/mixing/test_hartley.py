"""Hartley mixing against its definition."""

from __future__ import annotations

import math

import torch

from nas.blocks.mixing.hartley import HartleyMixing


def test_is_the_sum_of_cosines_and_sines() -> None:
    """The transform's kernel is cos + sin of the angle of both frequencies together."""
    x = torch.randn(2, 6, 5, dtype=torch.float64, requires_grad=True)
    t, d = torch.arange(6.0).double(), torch.arange(5.0).double()
    time, feature = t[:, None] * t / 6, d[:, None] * d / 5
    angle = 2 * math.pi * (time[:, None, :, None] + feature[None, :, None])
    expected = torch.einsum("btd,mntd->bmn", x, angle.cos() + angle.sin())
    block = HartleyMixing(5, ortho=False, norm="none")
    torch.testing.assert_close(block.mix(x, None), expected)
    seed = torch.randn_like(x)
    ours, theirs = (torch.autograd.grad((y * seed).sum(), x) for y in (block.mix(x, None), expected))
    torch.testing.assert_close(ours, theirs)


def test_twice_is_the_identity() -> None:
    x, block = torch.randn(2, 7, 4, dtype=torch.float64), HartleyMixing(4, norm="none")
    torch.testing.assert_close(block.mix(block.mix(x, None), None), x)


def test_cost_is_that_of_a_fast_transform() -> None:
    assert HartleyMixing(32).flops_per_token(64) == 5 * 32 * math.log2(64 * 32)
