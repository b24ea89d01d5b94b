"""Depthwise convolution: against a loop over neighbours."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nas.blocks.mixing.conv import DepthwiseConv
from nas.errors import InputError
from nas.masks import PaddingMask


@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize(
    ("kernel_size", "causal"), [(1, False), (3, False), (7, False), (3, True), (4, True)]
)
def test_equals_a_loop_over_neighbours(kernel_size: int, causal: bool, gate: bool) -> None:
    torch.manual_seed(0)
    block = DepthwiseConv(8, kernel_size=kernel_size, gate=gate, bias=True, causal=causal)
    before = kernel_size - 1 if causal else kernel_size // 2
    data, mask = torch.randn(2, 5, 8), torch.tensor([[1] * 5, [0, 1, 1, 0, 0]])
    features = block.input(block.norm_before(data))
    if gate:
        features = features[..., :8] * torch.sigmoid(features[..., 8:])
    features = F.pad(features * mask[..., None], (0, 0, kernel_size, kernel_size))
    mixed = torch.stack(
        [
            sum(
                (block.conv.weight[:, 0, j] * features[:, t + j - before] for j in range(kernel_size)),
                start=block.conv.bias,
            )
            for t in range(kernel_size, kernel_size + 5)
        ],
        dim=1,
    )
    torch.testing.assert_close(block(data, mask), data + block.output(mixed), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [2, 8])
def test_even_kernel_is_refused(size: int) -> None:
    with pytest.raises(InputError, match=f"kernel_size={size} must be odd.*{size - 1} or {size + 1}"):
        DepthwiseConv(8, kernel_size=size)


def test_asks_for_the_padding_mask() -> None:
    assert DepthwiseConv.mask_cls is PaddingMask
