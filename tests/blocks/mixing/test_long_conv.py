"""Long convolution: Fourier transforms and products against a direct sum, forward and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from nas.blocks.mixing.filters import convolve_fourier, convolve_products
from nas.blocks.mixing.long_conv import LongConv


def direct(data: Tensor, filters: Tensor) -> Tensor:
    tokens = data.shape[1]
    rows = [
        sum((filters[:, t - s] * data[:, s] for s in range(tokens)), start=torch.zeros_like(data[:, 0]))
        for t in range(tokens)
    ]
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("tokens", [1, 2, 9])
@pytest.mark.parametrize("form", [convolve_fourier, convolve_products])
def test_equals_the_direct_sum(form, tokens: int) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    data = torch.randn(2, tokens, 3, dtype=torch.float64, requires_grad=True)
    filters = torch.randn(3, 2 * tokens, dtype=torch.float64, requires_grad=True)
    ours, theirs = form(data, filters), direct(data, filters)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn_like(data)
    for a, b in zip(
        torch.autograd.grad(ours, [data, filters], weights),
        torch.autograd.grad(theirs, [data, filters], weights),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("tokens", [20, 280])
def test_padding_on_either_side_changes_nothing(tokens: int) -> None:
    torch.manual_seed(0)
    block = LongConv(8, reach=16).double()
    data, mask = torch.randn(1, tokens, 8, dtype=torch.float64), torch.ones(1, tokens)
    mask[:, :3] = mask[:, -5:] = 0
    torch.testing.assert_close(block(data, mask)[:, 3:-5], block(data[:, 3:-5]))


def test_filters_fade_and_start_with_like_norms() -> None:
    torch.manual_seed(0)
    filters = LongConv(16, reach=64).filters(128, torch.float32)
    assert filters[..., 64:192].abs().max() < 0.02 * filters.abs().max()
    norms = filters.norm(dim=-1).mean(dim=0)
    assert norms.max() < 10 * norms.min()


def test_causal_filters_see_no_later_token() -> None:
    assert not LongConv(8, causal=True).filters(10, torch.float32)[..., 10:].any()


@pytest.mark.parametrize("tokens", [63, 300])
def test_cost_is_the_counted_one(tokens: int) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        block = LongConv(32)
        block(torch.empty(1, tokens, 32))
    counted = counter.get_total_flops() / tokens
    if tokens > 256:  # Fourier transforms: the counter does not see them
        counted += 2 * 32 * (2 * 2.5 * 2 * torch.tensor(2.0 * tokens).log2().item() + 6)
    assert block.flops_per_token(tokens) == pytest.approx(counted, rel=0.01)
