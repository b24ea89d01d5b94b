"""Plain forms equal the fast paths they stand for, and leave nothing behind."""

from __future__ import annotations

import pytest
import torch

from nas.bench.base import Shape
from nas.bench.library import build_block
from nas.bench.plain import PLAIN, plain_form
from nas.blocks.attention import local, softmax
from nas.errors import InputError

FAST = ("attention/mha", "attention/local", "transformer/encoder_block")


def data(shape: Shape) -> torch.Tensor:
    seeded = torch.Generator().manual_seed(1)
    return torch.randn(shape.batch, shape.tokens, shape.hidden_size, generator=seeded)


@pytest.mark.parametrize("tokens", [16, 300])
@pytest.mark.parametrize("name", FAST)
def test_a_plain_form_computes_the_same_forward_and_backward(name: str, tokens: int) -> None:
    shape = Shape(2, tokens, 16, 2)
    block, given = build_block(name, shape, 0, {}).eval(), data(shape)
    plain = plain_form(block, given)
    assert plain is not None
    results = []
    for module in (block, plain):
        out = module(given)
        out = out[0] if isinstance(out, tuple) else out
        inputs = [p for p in block.parameters() if p.requires_grad]
        results.append([out, *torch.autograd.grad(out.square().sum(), inputs, allow_unused=True)])
    for fast, slow in zip(*results, strict=True):
        torch.testing.assert_close(fast, slow, atol=1e-4, rtol=1e-4)


def test_functions_are_put_back() -> None:
    shape = Shape(2, 300, 16, 2)
    before = (softmax.use_plain, local.LocalAttention._chunked)
    plain = plain_form(build_block("attention/local", shape, 0, {}), data(shape))
    assert plain is not None
    assert plain.used >= 2
    assert (softmax.use_plain, local.LocalAttention._chunked) == before
    with pytest.raises(InputError):
        plain(torch.zeros(1, 1, 1))
    assert (softmax.use_plain, local.LocalAttention._chunked) == before


def test_without_a_fast_path_there_is_none() -> None:
    shape = Shape(2, 16, 16, 2)
    assert plain_form(build_block("feedforward/mlp", shape, 0, {}), data(shape)) is None


def test_plain_functions_are_ours() -> None:
    assert all(fast.__module__.startswith("nas.blocks.") for fast in PLAIN)
