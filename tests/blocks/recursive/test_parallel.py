"""Parallel branches: sums of what each block would add by itself."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from nas.blocks.attention.mha import MultiHeadAttention
from nas.blocks.feedforward.mlp import MLP
from nas.blocks.mixing.conv import DepthwiseConv
from nas.blocks.recursive.parallel import Parallel
from nas.blocks.recursive.repeat import Repeat
from nas.blocks.recursive.reuse import ReuseAttention
from nas.errors import InputError

DATA = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1.0] * 5, [1.0] * 3 + [0.0] * 2])
ATTENTION = partial(MultiHeadAttention, num_heads=2)
SPAN = {"attention": ATTENTION, "conv": DepthwiseConv, "deep": partial(Repeat, span={"m": MLP})}


@pytest.mark.parametrize("combine", ["sum", "mean", "learned"])
def test_equals_the_plain_form_forward_and_backward(combine: Any) -> None:
    torch.manual_seed(0)
    parallel = Parallel(16, SPAN, combine=combine)
    updates = torch.stack([branch(DATA, MASK) - DATA for branch in parallel.inner_blocks])
    if parallel.scale is not None:
        torch.nn.init.normal_(parallel.scale)
        updates = parallel.scale[:, None, None] * F.rms_norm(updates, (16,), eps=1e-6)
    expected = DATA + (updates.sum(0) if combine == "sum" else updates.mean(0))
    actual = parallel(DATA, MASK)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    pairs = [
        torch.autograd.grad((out * DATA.cos()).sum(), list(parallel.parameters()))
        for out in (actual, expected)
    ]
    for a, b in zip(*pairs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_a_later_branch_reuses_an_earlier_ones_scores() -> None:
    reuse = partial(ReuseAttention, num_heads=2)
    parallel = Parallel(16, {"first": reuse, "second": reuse})
    first, second = parallel.inner_blocks
    out, states = parallel(DATA, MASK)
    one, scores = first(DATA, MASK, None)
    two, _ = second(DATA, MASK, scores)
    torch.testing.assert_close(out, one + two - DATA)
    assert torch.equal(states["attention_scores"], scores)


def test_place_and_name() -> None:
    parallel = Parallel(16, SPAN)
    assert parallel.label == "parallel(mha,conv,repeat2(mlp))"
    assert parallel.inner_layout == "parallel"
    assert parallel.num_loops == 1


def test_one_branch_is_refused() -> None:
    with pytest.raises(InputError, match=r"span=\['attention'\] has 1 branch: expected two or more"):
        Parallel(16, {"attention": ATTENTION})
